"""The verbs `models compare` and `models card`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from rich.console import Console

    from training.comparing import Comparison, OfHorizon

JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="Nothing later is known, UTC; default the midnight after the last event, at latest today's start.",
    ),
]


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A version of 'rapport models list'.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another of the same model.")],
    as_of: AsOfOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compares two versions on the newest window that neither knew: paired bootstrap, in all and by large group."""
    place = find_workspace(workspace)
    from rich.console import Console

    from training.comparing import compare as compare_versions
    from training.dataset import WorkspaceSource

    known_until = None if as_of is None else as_of.replace(tzinfo=UTC)
    with Console(stderr=True).status(f"Comparing {first} with {second} …"):
        found = compare_versions(WorkspaceSource(place, as_of=known_until), first, second)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1))
        return
    for one in found.horizons:
        _show(Console(), found, one)


def card(
    version: Annotated[str, typer.Argument(help="One of 'rapport models list'.")],
    html: Annotated[
        Path | None, typer.Option(help="Write the page to this file instead; it needs nothing else.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Shows the model card of a version: data windows, features, figures by group, limits."""
    place = find_workspace(workspace)
    from features.faults import CallersMistake
    from training.cards.card import HTML_FILE, MARKDOWN_FILE
    from training.promotion import model_of

    name = model_of(place.artifacts, version)
    written = place.artifacts / name / version / (HTML_FILE if html else MARKDOWN_FILE)
    if not written.is_file():
        raise CallersMistake(
            f"Asked for the card of {name} {version}, but it has none: it was made before there were cards, or by "
            f"something else than 'rapport train'. 'rapport train {name.replace('_', '-')}' writes one."
        )
    if html is None:
        typer.echo(written.read_text(encoding="utf-8"), nl=False)
        return
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_bytes(written.read_bytes())
    typer.echo(f"{name} {version} → {html}")


def _show(console: Console, found: Comparison, one: OfHorizon) -> None:
    from rich.table import Table

    n, rate = one.qualities[0].n, one.qualities[0].base_rate
    console.print(
        f"[bold]{found.model}, {one.horizon_days} days[/bold] from {one.as_of:%Y-%m-%d}: {n:,} customers, "
        f"{rate:.1%} ordered. {found.verdict(one)}.",
        highlight=False,
    )
    table = Table()  # fits 80 columns
    for heading in ("log-loss of", "customers", "A", "B", "B better by (95%)"):
        table.add_column(heading, no_wrap=heading != "log-loss of")
    rows = [("all", n, tuple(q.log_loss for q in one.qualities), one.gain)]
    rows += [(str(of.group), int(of.group.rows.sum()), of.losses, of.gain) for of in one.groups]
    for name, n_rows, losses, gain in rows:
        better = f"{gain.mean:+.4f} ({gain.low:+.4f} … {gain.high:+.4f})"
        table.add_row(name, f"{n_rows:,}", *(f"{loss:.4f}" for loss in losses), better)
    console.print(table)
    a, b = one.qualities
    brier = one.gain_of_brier
    console.print(
        f"AUC {a.auc:.4f} and {b.auc:.4f}; Brier {a.brier:.4f} and {b.brier:.4f}, B better by {brier.mean:+.4f} "
        f"({brier.low:+.4f} … {brier.high:+.4f}); said {a.mean_probability:.1%} and {b.mean_probability:.1%}.\n"
        f"A is {found.versions[0]}, B is {found.versions[1]}.",
        highlight=False,
    )
