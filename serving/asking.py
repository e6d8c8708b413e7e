"""One decision without a server: asked on the command line, answered for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from features.faults import CallersMistake
from features.workspace import Workspace
from serving.clocks import clock_from
from serving.engine import Engine
from serving.problems import wrong_fields
from serving.refusals import RequestRefused
from serving.schemas import DecisionRequest


def ask(
    workspace: Workspace, asked: Mapping[str, Any], *, traits: Sequence[str], at: datetime | None = None
) -> dict[str, Any]:
    """The answer to a question as the API takes it.

    Raises:
        CallersMistake: it is not valid, or the brand has no such placement, channel or trait.
    """
    told = {name: _value(text) for name, text in map(_name_and_text, traits)}
    body = {**asked, "context": {**asked["context"], "traits": told}}
    try:
        request = DecisionRequest.model_validate_json(json.dumps(body))
    except ValidationError as error:
        raise RequestRefused(wrong_fields(error, DecisionRequest)) from None
    with Engine(workspace, clock=clock_from(at)) as engine:
        return engine.decide(request)


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
    """The answer as a person reads it: the message, why, and what else could have been taken."""
    console = Console()
    message = told["message"]
    if message is None:
        console.print(Panel("Nothing is said.", title=f"{told['action']['id']}"))
    else:
        lines = [f"[bold]{message['hook']}[/bold]"] if message["hook"] else []
        lines += [message["body"], *(f"  › {reply}" for reply in message["suggested_replies"])]
        if message["link"]:
            lines.append(f"  {message['link']['label']}: {message['link']['url']}")
        console.print(Panel("\n".join(lines), title=f"{told['action']['id']} ({message['locale']})"))
    for reason in told["reasons"]:
        console.print(f"• {reason}", highlight=False)
    table = Table("action", "probability", "value", title=f"decision {told['decision_id']}")
    for ranked in told["ranking"]:
        table.add_row(ranked["action_id"], f"{ranked['probability']:.4f}", f"{ranked['value']:.2f}")
    console.print(table)
    if told["suppressed"]:
        rules = ", ".join(f"{one['action_id']} ({one['rule']})" for one in told["suppressed"])
        console.print(f"Suppressed: {rules}", highlight=False)
    if told.get("formatted"):
        console.print_json(json.dumps(told["formatted"], ensure_ascii=False))
    if "explanation" in told:
        console.print_json(json.dumps(told["explanation"], ensure_ascii=False))
