"""The verb `drift`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace

if TYPE_CHECKING:
    from training.drift.moves import Move
    from training.drift.outcomes import Outcome
    from training.drift.report import Looked

STATES = {
    "retrain": "[red]train anew[/red]",
    "watch": "[yellow]something moves[/yellow]",
    "steady": "[green]steady[/green]",
    "too_little": "too little to tell",
    "unknown": "not looked at",
}
MOST_SHOWN = 10


def drift(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Nothing later is known, UTC; default the midnight after the last event, at latest today's start.",
        ),
    ] = None,
    workspace: Annotated[Path | None, typer.Option(help="The brand's folder; default ./workspace.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Have the models' inputs and scores moved since their training, and did what they said come?"""
    place = find_workspace(workspace)
    from training.drift.report import write_drift
    from training.drift.watching import watch

    found = watch(place, as_of=as_of.replace(tzinfo=UTC) if as_of else None)
    path = write_drift(place, found)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1))
        return
    if not found.models:
        typer.echo("No model is served yet. 'rapport train' makes the first.")
        return
    for one in found.models:
        _show(one)
    typer.echo(f"As of {found.as_of:%Y-%m-%d} → {path}")


def _show(one: Looked) -> None:
    from rich.console import Console

    console = Console()
    compared = f", {one.n_now:,} customers beside {one.n_then:,}" if one.n_then else ""
    console.print(
        f"[bold]{one.model}[/bold] {one.version}, {one.days:g} days old{compared}: {STATES[one.status]}.",
        highlight=False,
    )
    for reason in one.reasons:
        console.print(f"  train anew: {reason.told}", highlight=False, markup=False)
    for note in one.notes:
        console.print(f"  {note}", highlight=False, markup=False)
    if told := [move for move in one.moves if move.kind == "score" or move.verdict not in ("steady", "too_few")]:
        _show_moves(told)
    if told_outcomes := one.outcomes[-MOST_SHOWN:]:
        _show_outcomes(told_outcomes)


def _show_moves(moves: list[Move]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("what", "verdict", "PSI", "by chance", "as usual", "KS", "unknown", "leans"):
        table.add_column(heading, justify="left" if heading in ("what", "verdict") else "right")
    for one in sorted(moves, key=lambda one: (one.kind == "feature", -one.psi))[:MOST_SHOWN]:
        table.add_row(
            one.name,
            one.verdict,
            f"{one.psi:.3f}",
            f"{one.by_chance:.3f}",
            f"{one.as_usual:.3f}",
            "" if one.ks is None else f"{one.ks:.2f}",
            f"{one.unknown_then:.0%} → {one.unknown_now:.0%}",
            "" if one.effect is None else f"{one.effect:.2f}",
        )
    Console().print(table)
    if len(moves) > MOST_SHOWN:
        Console().print(f"  … and {len(moves) - MOST_SHOWN} more: --json lists all.", highlight=False)


def _show_outcomes(outcomes: tuple[Outcome, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("said", "on", "by", "rows", "said", "came", "95%", "slope", "verdict"):
        table.add_column(heading)
    for one in outcomes:
        number = "{:.1%}".format if one.unit == "rate" else "{:.4g}".format
        table.add_row(
            one.what,
            f"{one.said_at:%Y-%m-%d}",
            "champion" if one.is_champions else one.version,
            f"{one.n:,}",
            number(one.said),
            number(one.came),
            f"{number(one.low)} … {number(one.high)}",
            "" if one.slope is None else f"{one.slope:.2f}",
            one.verdict,
        )
    Console().print(table)
