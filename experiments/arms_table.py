"""A comparison of arms as a table for people, or as JSON for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.arms import Arm, ArmsAnalysis
from experiments.holdout_table import interval, number, rounded, uplift_as_dictionary
from experiments.metrics import CONFIDENCE


def as_dictionary(analysis: ArmsAnalysis) -> dict[str, Any]:
    """The whole comparison with JSON's own types; instants as ISO 8601, a missing number as null."""
    question = analysis.question
    closes_at = analysis.next_window_closes_at
    return {
        "experiment": analysis.experiment,
        "confidence": CONFIDENCE,
        "goal": question.goal,
        "window_days": question.window_days,
        "as_of": question.as_of.isoformat(),
        "since": question.since.isoformat() if question.since else None,
        "placement": question.placement,
        "reference": analysis.reference.name,
        "arms": [_arm(arm) for arm in analysis.arms],
        "sizes_p_value": analysis.p_value,
        "n_in_more_than_one_arm": analysis.n_mixed,
        "next_window_closes_at": closes_at.isoformat() if closes_at else None,
        "warnings": list(analysis.warnings),
    }


def print_table(analysis: ArmsAnalysis, console: Console | None = None) -> None:
    """Prints the comparison with its numbers rounded for reading."""
    console = console or Console()
    question, reference = analysis.question, analysis.reference.name
    console.print(
        f"[bold]Arms of experiment {analysis.experiment}[/bold] · goal {question.goal} · {question.window_days:g} days "
        f"from the first decision in it · as of {question.as_of:%Y-%m-%d %H:%M} UTC"
    )
    for warning in analysis.warnings:
        console.print(f"[bold white on red] WARNING [/] {warning}", style="bold red")
    table = Table()
    for heading in ("arm", "policy", "customers", "window closed", "rate", f"rate less that of {reference}"):
        table.add_column(heading, justify="left" if heading in ("arm", "policy") else "right", overflow="fold")
    table.add_column(f"margin a customer less that of {reference}", justify="right", overflow="fold")
    for arm in analysis.arms:
        table.add_row(
            arm.name,
            arm.policy,
            f"{arm.result.n_customers:,}",
            f"{arm.result.n_closed:,}",
            rounded(arm.result.rate, percent=True),
            "–" if arm.conversion is None else interval(arm.conversion.absolute, percent=True),
            "–" if arm.margin is None else interval(arm.margin.absolute),
        )
    console.print(table)
    console.print(
        "Each interval holds its own difference with 95%: the more arms, the likelier that one of them looks good by "
        "luck. Fixed-horizon: look once, when the windows have closed.",
        style="dim",
    )


def _arm(arm: Arm) -> dict[str, Any]:
    result = arm.result
    return {
        "name": arm.name,
        "policy": arm.policy,
        "share": arm.share,
        "n_customers": result.n_customers,
        "n_closed": result.n_closed,
        "n_converted": result.n_converted,
        "rate": number(result.rate),
        "revenue_per_customer": number(result.revenue_per_customer),
        "margin_per_customer": number(result.margin_per_customer),
        "conversion": uplift_as_dictionary(arm.conversion) if arm.conversion else None,
        "revenue_uplift": uplift_as_dictionary(arm.revenue) if arm.revenue else None,
        "margin_uplift": uplift_as_dictionary(arm.margin) if arm.margin else None,
    }
