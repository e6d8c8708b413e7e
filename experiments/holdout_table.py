"""A holdout analysis as a table for people, or as JSON for programs."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.analysis import HoldoutAnalysis, Uplift
from experiments.metrics import CONFIDENCE, Estimate, NotEstimable


def as_dictionary(analysis: HoldoutAnalysis) -> dict[str, Any]:
    """The whole analysis with JSON's own types; instants as ISO 8601, a missing number as null."""
    question, ratio = analysis.question, analysis.sample_ratio
    return {
        "method": analysis.method,
        "confidence": CONFIDENCE,
        "goal": question.goal,
        "window_days": question.window_days,
        "as_of": question.as_of.isoformat(),
        "since": question.since.isoformat() if question.since else None,
        "placement": question.placement,
        "personalised": _arm(analysis, "personalised"),
        "holdout": _arm(analysis, "holdout"),
        "conversion": uplift_as_dictionary(analysis.conversion),
        "revenue_per_customer": uplift_as_dictionary(analysis.revenue),
        "margin_per_customer": uplift_as_dictionary(analysis.margin),
        "margin_earned": _estimate(analysis.margin_earned),
        "sample_ratio": None
        if ratio is None
        else {
            "n_holdout": ratio.n_holdout,
            "expected_n_holdout": ratio.expected_n_holdout,
            "n_customers": ratio.n_customers,
            "p_value": ratio.p_value,
            "is_healthy": ratio.is_healthy,
        },
        "next_window_closes_at": _instant(analysis.next_window_closes_at),
        "last_window_closes_at": _instant(analysis.last_window_closes_at),
        "left_out": {
            "joined_of_two_arms": analysis.left_out.n_two_arms,
            "joined_of_one_arm": analysis.left_out.n_one_arm,
        },
        "warnings": list(analysis.warnings),
    }


def print_table(analysis: HoldoutAnalysis, console: Console | None = None) -> None:
    """Prints the analysis with its numbers rounded for reading."""
    console = console or Console()
    question = analysis.question
    scope = f" · placement {question.placement}" if question.placement else ""
    console.print(
        f"[bold]Personalised beside held-out customers[/bold] · goal {question.goal} · {question.window_days:g} days "
        f"from the first decision{scope} · as of {question.as_of:%Y-%m-%d %H:%M} UTC · {analysis.method}"
    )
    for warning in analysis.warnings:
        console.print(f"[bold white on red] WARNING [/] {warning}", style="bold red")
    console.print(_arms_table(analysis))
    if isinstance(analysis.conversion.absolute, NotEstimable):
        console.print(f"[yellow]No uplift can be estimated:[/yellow] {analysis.conversion.absolute.reason}")
    else:
        console.print(_uplift_table(analysis))
    console.print(_footnote(analysis), style="dim")


def _arms_table(analysis: HoldoutAnalysis) -> Table:
    table = Table()
    table.add_column("arm")
    for heading in (
        "customers",
        "window closed",
        "reached the goal",
        "rate",
        "revenue a customer",
        "margin a customer",
    ):
        table.add_column(heading, justify="right")
    for name, arm in (("personalised", analysis.personalised), ("holdout", analysis.holdout)):
        table.add_row(
            name,
            f"{arm.n_customers:,}",
            f"{arm.n_closed:,}",
            f"{arm.n_converted:,}",
            rounded(arm.rate, percent=True),
            rounded(arm.revenue_per_customer),
            rounded(arm.margin_per_customer),
        )
    return table


def _uplift_table(analysis: HoldoutAnalysis) -> Table:
    table = Table()
    for heading in ("uplift", "absolute, 95% interval", "relative, 95% interval"):
        table.add_column(heading, justify="left" if heading == "uplift" else "right", overflow="fold")
    rows = (
        ("rate", analysis.conversion, True),
        ("revenue", analysis.revenue, False),
        ("margin", analysis.margin, False),
    )
    for name, uplift, is_rate in rows:
        table.add_row(name, interval(uplift.absolute, percent=is_rate), interval(uplift.relative, percent=True))
    table.add_row("margin earned in all", interval(analysis.margin_earned), "")
    return table


def _footnote(analysis: HoldoutAnalysis) -> str:
    parts = []
    if analysis.sample_ratio is not None:
        verdict = "passes" if analysis.sample_ratio.is_healthy else "FAILS"
        parts.append(f"Sample-ratio check {verdict} (p = {analysis.sample_ratio.p_value:.3g}).")
    if analysis.next_window_closes_at is not None and analysis.last_window_closes_at is not None:
        parts.append(
            f"Windows still open; they close between {analysis.next_window_closes_at:%Y-%m-%d %H:%M} and "
            f"{analysis.last_window_closes_at:%Y-%m-%d %H:%M} UTC."
        )
    parts.append("Fixed-horizon: look once, when the window you chose has closed; looking daily finds false winners.")
    return " ".join(parts)


def interval(estimate: Estimate | NotEstimable, *, percent: bool = False) -> str:
    """A number with its interval, or why there is none."""
    if isinstance(estimate, NotEstimable):
        return estimate.reason
    value, low, high = (
        rounded(end, percent=percent, signed=True) for end in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def rounded(value: float, *, percent: bool = False, signed: bool = False) -> str:
    """A number for reading; a dash where there is none."""
    if math.isnan(value):
        return "–"
    sign = "+" if signed else ""
    return f"{value:{sign}.2%}" if percent else f"{value:{sign},.2f}"


def _arm(analysis: HoldoutAnalysis, name: str) -> dict[str, Any]:
    arm = getattr(analysis, name)
    return {
        "n_customers": arm.n_customers,
        "n_closed": arm.n_closed,
        "n_converted": arm.n_converted,
        "rate": number(arm.rate),
        "revenue_per_customer": number(arm.revenue_per_customer),
        "margin_per_customer": number(arm.margin_per_customer),
    }


def uplift_as_dictionary(uplift: Uplift) -> dict[str, Any]:
    """Both differences with JSON's own types."""
    return {"absolute_uplift": _estimate(uplift.absolute), "relative_uplift": _estimate(uplift.relative)}


def _estimate(estimate: Estimate | NotEstimable) -> dict[str, Any]:
    if isinstance(estimate, NotEstimable):
        return {"not_estimable": estimate.reason, "code": estimate.code}
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None
