"""One decision without a server: asked on the command line, answered for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from features.faults import CallersMistake
from features.workspace import Workspace
from serving.asked import asked_of
from serving.clocks import clock_from
from serving.engine import Engine
from serving.refusals import RequestRefused, WrongField

OPTIONS = {
    "customer_id": "CUSTOMER",
    "placement": "--placement",
    "channel": "--channel",
    "channels": "--channels",
    "limit": "--limit",
    "locale": "--locale",
    "format": "--format",
    "context/intent": "--intent",
}
"""What was typed for a field of the request."""


def ask(
    workspace: Workspace, asked: Mapping[str, Any], *, traits: Sequence[str], at: datetime | None = None
) -> dict[str, Any]:
    """The answer to a question as the API takes it.

    Raises:
        CallersMistake: it is not valid, or the brand has no such placement, channel or trait; told by the options.
    """
    told = {name: _value(text) for name, text in map(_name_and_text, traits)}
    body = {**asked, "context": {**asked["context"], "traits": told}}
    with Engine(workspace, clock=clock_from(at)) as engine:
        try:
            request = asked_of(json.dumps(body), brand=engine.brand, actions=engine.shelf.offerables)
            return engine.decide(request)
        except RequestRefused as refusal:
            raise CallersMistake("\n".join(map(_by_option, refusal.faults))) from refusal


def _by_option(fault: WrongField) -> str:
    """A fault as who typed the command knows it: by option, not by its place in a body that they never saw."""
    detail = re.sub(r"`(\w+)`", lambda found: OPTIONS.get(found[1], found[0]), fault.detail)
    if trait := re.match("/context/traits/(.+)", fault.pointer):
        return f"--trait {trait[1]}: {detail}"
    field = re.sub(r"/\d+$", "", fault.pointer).removeprefix("/")
    return f"{OPTIONS[field]}: {detail}" if field in OPTIONS else str(WrongField(fault.pointer, detail))


def _name_and_text(trait: str) -> tuple[str, str]:
    name, sign, text = trait.partition("=")
    if not sign:
        raise CallersMistake(
            f"Asked with --trait '{trait}'. A trait is given as name=value, such as skin_need=dryness."
        )
    return name, text


def _value(text: str) -> object:
    """JSON where it is JSON (numbers, true, lists), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def print_answer(told: Mapping[str, Any]) -> None:
    """The answer as a person reads it: what is said, why, and what else could have been taken."""
    console = Console()
    for said in told.get("slots") or [told]:
        console.print(_said(said))
    for reason in told["reasons"]:
        console.print(f"• {reason}", highlight=False)
    console.print(_ranking(told))
    if told["suppressed"] and "explanation" not in told:
        rules = ", ".join(f"{_named(one)} ({one['rule']})" for one in told["suppressed"])
        console.print(f"Suppressed: {rules}", highlight=False)
    for said in told.get("slots") or [told]:
        if said.get("formatted"):
            console.print_json(json.dumps(said["formatted"], ensure_ascii=False))
    if "explanation" in told:
        for line in _explained(told["explanation"]):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _said(slot: Mapping[str, Any]) -> Panel:
    """The message of one action, or that there is none."""
    action, message = slot["action"]["id"], slot["message"]
    if message is None:
        return Panel("Nothing is said.", title=f"{action}")
    lines = [f"[bold]{escape(message['hook'])}[/bold]"] if message["hook"] else []
    lines += [escape(message["body"]), *(f"  › {escape(reply)}" for reply in message["suggested_replies"])]
    if message["link"]:
        lines.append(escape(f"  {message['link']['label']}: {message['link']['url']}"))
    return Panel("\n".join(lines), title=escape(f"{action} on {slot['channel']} ({message['locale']})"))


def _explained(explanation: Mapping[str, Any]) -> Iterator[str]:
    """What each value is made of, what was kept away and why, in sentences; `--json` has the whole record."""
    yield "\nWhat each is worth:"
    for one in explanation["values"]:
        yield f"  {one['key']}: {one['value']:,.2f}"
        yield from (f"    {part['amount']:+,.2f}  {part['in_words']}" for part in one["parts"])
    if explanation["kept_away"]:
        yield "\nKept away:"
    for one in explanation["kept_away"]:
        until = f" Again from {one['eligible_at']}." if one["eligible_at"] else ""
        condition = f"(`{one['condition']}`)" if one["condition"] else ""
        yield f"  {_named(one)}: {' '.join(filter(None, (one['in_words'], condition, one['counter_in_words'])))}{until}"
    for name, title in (("propensity", "How likely they are to buy"), ("response", "What the message drawn brings")):
        if (said := explanation[name]) is not None:
            yield f"\n{title}:"
            yield from (f"  {sentence}" for sentence in said["in_words"])
    yield "\nThe whole record: --json."


def _ranking(told: Mapping[str, Any]) -> Table:
    is_dry = told.get("dry_run", False)
    table = Table(
        "action",
        "probability",
        "value",
        title="dry run: nothing written" if is_dry else f"decision {told['decision_id']}",
    )
    for ranked in told["ranking"]:
        table.add_row(_named(ranked), f"{ranked['probability']:.4f}", f"{ranked['value']:.2f}")
    return table


def _named(one: Mapping[str, Any]) -> str:
    """An action, with the channel where several were asked for."""
    return f"{one['action_id']} on {one['channel']}" if one.get("channel") else str(one["action_id"])
