"""The verbs of experiments: simulate, report, experiment."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from experiments.simulator.cli import simulate
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

experiment = group_of_verbs("What was tried, and what it earned: analyse.")
analyse = group_of_verbs("An effect, or why it cannot be estimated yet: holdout, arms.")
experiment.add_typer(analyse, name="analyse")

Since = Annotated[datetime | None, typer.Option(help="Only decisions from this instant on, UTC.")]
AsOf = Annotated[datetime | None, typer.Option(help="Stand at this instant, UTC; default now.")]
WindowDays = Annotated[
    float | None, typer.Option(help="Days after the first decision; default the brand's attribution_days.")
]
OfPlacement = Annotated[str | None, typer.Option(help="Only decisions of this placement.")]
Goal = Annotated[str, typer.Option(help="The goal that counts as success.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]

__all__ = ["experiment", "report", "simulate"]


def report(
    out: Annotated[Path, typer.Option(help="The folder to write index.html and the audiences into.")],
    workspace: WorkspaceOption = None,
    locale: Annotated[str | None, typer.Option(help="The page's language: en, hi or th; default the brand's.")] = None,
    compare_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Who moved since this score day; default four weeks before."),
    ] = None,
    compare_to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Who moved until this score day; default the newest.")
    ] = None,
) -> None:
    """Writes the marketers' page: segments, funnel, movement, decisions, and what personalisation earned."""
    from experiments.report import write_report

    page = write_report(
        find_workspace(workspace),
        out=out,
        locale=locale,
        compare_from=compare_from.date() if compare_from else None,
        compare_to=compare_to.date() if compare_to else None,
    )
    typer.echo(f"Written: {page}")


@analyse.callback()
def _analyse() -> None:
    """An effect, or why it cannot be estimated yet: holdout, arms."""


@analyse.command()
def holdout(
    workspace: WorkspaceOption = None,
    since: Since = None,
    as_of: AsOf = None,
    window_days: WindowDays = None,
    placement: OfPlacement = None,
    goal: Goal = "order",
    as_json: AsJson = False,
) -> None:
    """Compares personalised customers with held-out ones: the uplift with its 95% interval, or why none yet."""
    from experiments.analysis import analyse_workspace
    from experiments.holdout_table import as_dictionary, print_table

    analysis = analyse_workspace(
        find_workspace(workspace),
        goal=goal,
        since=since,
        as_of=as_of,
        window_days=window_days,
        placement=placement,
    )
    if as_json:
        import json

        typer.echo(json.dumps(as_dictionary(analysis), ensure_ascii=False, indent=2))
    else:
        print_table(analysis)


@analyse.command()
def arms(
    workspace: WorkspaceOption = None,
    since: Since = None,
    as_of: AsOf = None,
    window_days: WindowDays = None,
    placement: OfPlacement = None,
    goal: Goal = "order",
    as_json: AsJson = False,
) -> None:
    """Compares the arms of brand.yaml's experiment with its first one: differences with their 95% intervals."""
    from experiments.arms import analyse_arms_of
    from experiments.arms_table import as_dictionary, print_table

    analysis = analyse_arms_of(
        find_workspace(workspace),
        goal=goal,
        since=since,
        as_of=as_of,
        window_days=window_days,
        placement=placement,
    )
    if as_json:
        import json

        typer.echo(json.dumps(as_dictionary(analysis), ensure_ascii=False, indent=2))
    else:
        print_table(analysis)
