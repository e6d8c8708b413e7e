"""The demo's HTTP: decisions for three customers with the curl to repeat them, and a conversation a language."""

from __future__ import annotations

import json
import shlex
from typing import Any

import httpx
import pyarrow.parquet as pq

from features.database import connect
from features.identity import IdentityTable
from serving.demo.stage import Stage

_NEEDS = {"en-IN": "dryness", "hi-IN": "dullness", "th-TH": "acne"}
_CHANNELS = {"en-IN": "web", "hi-IN": "whatsapp", "th-TH": "line"}


def show_decisions(stage: Stage, url: str) -> None:
    """Asks for three known customers of different segments, each in one of the brand's languages."""
    stage.say("\n[bold]Three decisions over HTTP, and how to repeat them[/bold]")
    for customer_id, locale in zip(_customers_of_different_segments(stage), _CHANNELS, strict=False):
        question = {
            "customer_id": customer_id,
            "placement": "chat_reply",
            "channel": _CHANNELS[locale],
            "locale": locale,
        }
        body = json.dumps(question)
        stage.say(
            f"\n[cyan]curl -s {url}/v1/decisions -H 'content-type: application/json' -d {shlex.quote(body)}[/cyan]"
        )
        answer = _post(f"{url}/v1/decisions", question)
        segment = answer["segment"]["name"] if answer["segment"] else "none yet"
        stage.say(
            f"  {customer_id}: segment {segment}, stage {answer['stage']}, P(buys) {answer['purchase_propensity']}\n"
            f"  action {answer['action']['id']} (probability {answer['action']['probability']:.3f}), "
            f"{'held out' if answer['holdout'] else 'personalised'}, decision {answer['decision_id']}"
        )
        _show_message(stage, answer)


def converse(stage: Stage, url: str, *, locale: str) -> None:
    """A stranger says hello, answers what their skin needs, and buys."""
    stage.say(f"\n[bold]A conversation, {locale}[/bold]")
    question: dict[str, Any] = {
        "customer_id": f"stranger-{locale}",
        "placement": "chat_reply",
        "channel": _CHANNELS[locale],
        "locale": locale,
    }
    first = _post(f"{url}/v1/decisions", question | {"context": {"intent": "greeting"}})
    _show_message(stage, first)
    replies = first["message"]["suggested_replies"]
    if replies:
        stage.say(f"  [green]customer:[/green] {replies[0]}")
    _outcome(url, first["decision_id"], outcome="replied")
    need = _NEEDS[locale]
    stage.say(f"  [dim](the bot has learnt: skin_need = {need})[/dim]")
    second = _post(f"{url}/v1/decisions", question | {"context": {"traits": {"skin_need": need}}})
    _show_message(stage, second)
    _outcome(url, second["decision_id"], outcome="converted", goal="order", value=1499.0)
    stage.say("  [dim](the customer buys for 1,499; reported to /v1/outcomes)[/dim]")


def _show_message(stage: Stage, answer: dict[str, Any]) -> None:
    message = answer["message"]
    if message is None:
        stage.say("  [magenta]brand:[/magenta] (nothing)")
        return
    hook = f"{message['hook']} " if message["hook"] else ""
    stage.say(f"  [magenta]brand ({message['locale']}):[/magenta] {hook}{message['body']}")
    if message["suggested_replies"]:
        stage.say(f"  [dim]suggested replies: {' | '.join(message['suggested_replies'])}[/dim]")


def _outcome(url: str, decision_id: str, **told: Any) -> None:
    _post(f"{url}/v1/outcomes", {"decision_id": decision_id, **told})


def _post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(address, json=body, timeout=30.0)
    response.raise_for_status()
    told: dict[str, Any] = response.json()
    return told


def _customers_of_different_segments(stage: Stage) -> list[str]:
    newest = max((stage.workspace.lake / "scores").glob("day=*/scores.parquet"))
    scores = pq.read_table(newest, columns=["customer_key", "segment"]).to_pandas()
    keys = scores.drop_duplicates("segment")["customer_key"].head(len(_CHANNELS)).tolist()
    identity = IdentityTable(connect(stage.workspace.database))
    return [str(identity.id_of(int(key))) for key in keys]
