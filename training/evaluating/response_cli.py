"""The verb `evaluate response`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption
from training.seed_option import SeedOption

if TYPE_CHECKING:
    from training.evaluating.response_answer import Evaluated

COLUMNS = (
    ("uplift@10%", "uplift_at_10_overall"),
    ("… by group", "uplift_at_10_by_group"),
    ("uplift@30%", "uplift_at_30_overall"),
    ("… by group", "uplift_at_30_by_group"),
    ("Qini", "qini_auc"),
    ("uplift AUC", "uplift_auc"),
    ("policy value", "policy_value"),
    ("net value", "net_value"),
    ("treated", "treated_share"),
)
REFUSED = 2


def response(
    campaign: Annotated[str, typer.Option(help="Its name, as its messages say it.")],
    outcome: Annotated[
        str, typer.Option(help="Measured of it, such as visit; or ordered, revenue: of orders within the window.")
    ],
    arms: Annotated[
        str,
        typer.Option(help="Two of them, A,B; where neither got nothing, B is the control. Needed if there are more."),
    ] = "",
    splits: Annotated[int, typer.Option(help="Random ones, by customer.")] = 21,
    seed: SeedOption = 0,
    value: Annotated[float, typer.Option(help="What one (or one unit) of the outcome is worth.")] = 1.0,
    cost: Annotated[float, typer.Option(help="What one message costs.")] = 0.0,
    test_share: Annotated[float, typer.Option(help="Of customers that judge and teach nothing.")] = 0.3,
    window_days: Annotated[
        float | None,
        typer.Option(help="Over which orders count; else as the campaign's outcomes.", min=0.01, max=3_650),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; else one a core.", min=1)] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Measures whom a message moves, in an imported campaign: beside scikit-uplift's models, random, best action.

    A campaign that was targeted, or a feature that knows the outcome, gets a refusal and exit code 2.
    """
    place = find_workspace(workspace)
    from rich.console import Console

    from training.evaluating.response import evaluate_response
    from training.evaluating.response_answer import Question
    from training.evaluating.response_splits import Terms

    question = Question(
        campaign=campaign,
        outcome=outcome,
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        splits=splits,
        seed=seed,
        test_share=test_share,
        terms=Terms(value=value, cost=cost),
        window_days=window_days,
        workers=workers,
    )
    with (
        contextlib.redirect_stdout(sys.stderr),  # whatever a library prints, what a program reads stays JSON
        Console(stderr=True).status("Fitting ours and what you would pick instead …"),
    ):
        evaluated = evaluate_response(place, question)
    if as_json:
        typer.echo(json.dumps(evaluated.as_dict(), ensure_ascii=False, indent=1, allow_nan=False))
    if evaluated.refusal is not None:
        typer.echo(as_refusal(evaluated), err=as_json)
        raise typer.Exit(REFUSED)
    if not as_json:
        typer.echo(as_markdown(evaluated))


def as_markdown(evaluated: Evaluated) -> str:
    """The table for people, mean ± sd over the splits."""
    asked = evaluated.question
    names = list(evaluated.judged[0].figures)
    means = ", ".join(
        f"'{arm['arm']}' {arm['mean']:.5g} ± {arm['standard_error']:.2g} ({arm['n']:,})"
        for arm in evaluated.as_dict()["arms"]
    )
    lines = [
        f"\n'{asked.outcome}' of campaign '{asked.campaign}' within {evaluated.window_days:g} days: {means}.",
        f"{asked.splits} random splits by customer, {asked.test_share:.0%} judge; an outcome is worth "
        f"{asked.terms.value:g}, a message costs {asked.terms.cost:g}.\n",
        "| model | " + " | ".join(heading for heading, _ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for name in names:
        figures = evaluated.figures(name)
        cells = (_cell(figures[figure]) for _, figure in COLUMNS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    chosen = ", ".join(f"{learner} {n}×" for learner, n in evaluated.chosen_counts().items())
    lines += ["\n" + as_effect(evaluated.effect()), f"Ours chose: {chosen}."]
    lines += [f"- {note}" for note in evaluated.notes]
    return "\n".join(lines)


def as_effect(effect: Mapping[str, Any]) -> str:
    """What the message changed on average, and where that cannot be told from nothing, that it cannot."""
    told = f"{effect['value']:.5g} (95% interval {effect['low']:.5g} to {effect['high']:.5g})"
    if effect["found"]:
        return f"The message changed the mean by {told}."
    return (
        f"No effect was found: the message changed the mean by {told}, an interval that holds 0. A policy that treats "
        "everybody or nobody then goes by the sign of what may be chance: give --cost, or ask more customers."
    )


def as_refusal(evaluated: Evaluated) -> str:
    """Why there is no number, and what would settle it."""
    refusal = evaluated.refusal
    if refusal is None:
        return ""
    lines = [f"Refused ({refusal.code}). {refusal.why}", f"What would settle it: {refusal.experiment['design']}"]
    return "\n".join([*lines, *(f"- {note}" for note in evaluated.notes)])


def _cell(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.4f} ± {pair[1]:.4f}"
