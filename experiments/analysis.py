"""What personalisation earned: personalised customers beside held-out ones, at one fixed horizon.

The unit is the customer, as in the assignment. The clock of each starts at their first decision in *either* arm: a
held-out customer's would-be decision starts it exactly as a personalised one's does, so the arms stay comparable
whatever the decision was. Success is at least one conversion to the goal within `window_days` of it, however that
conversion was joined. Only customers whose window has closed count: an open window has had less time to succeed.

Everybody who got a decision counts, also where nothing was sent or a delivery failed (intention to treat): failures
exist in one arm only, and leaving them out would compare different customers.

Customers who turned out to be one person count as that person, unless they were drawn apart: `LeftOut` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pandas as pd

from experiments.erased import erased_by_arm, erased_warning
from experiments.holdout_customers import (
    ChangedRate,
    HoldoutQuestion,
    LeftOut,
    changed_rate,
    first_decisions,
    persons,
    with_outcomes,
)
from experiments.holdout_question import question_of, read_ledger
from experiments.metrics import (
    MIN_CUSTOMERS,
    Estimate,
    NotEstimable,
    Sample,
    SampleRatio,
    difference_of_means,
    difference_of_rates,
    relative_difference_of_means,
    relative_difference_of_rates,
    sample_ratio,
)
from experiments.records import HOLDOUT, PERSONALISED, read_merges
from features.brand import Brand, load_brand
from features.merges import Merge
from features.workspace import Workspace

FIXED_HORIZON = "fixed-horizon"
_MIXED_ARMS_RATE = 0.001


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm: how many customers, how many with a closed window, and what those did within it."""

    n_customers: int
    n_closed: int
    n_converted: int
    rate: float
    revenue_per_customer: float
    margin_per_customer: float


@dataclass(frozen=True, slots=True)
class Uplift:
    """Personalised minus held-out, absolute and relative to held-out."""

    absolute: Estimate | NotEstimable
    relative: Estimate | NotEstimable


@dataclass(frozen=True, slots=True)
class HoldoutAnalysis:
    """The whole answer, or for each number the reason why there is none.

    `margin_earned` is the margin uplift times the personalised customers whose windows have closed: what those windows
    brought in beyond what the same customers would have brought in unpersonalised, before the cost of incentives.
    """

    question: HoldoutQuestion
    personalised: ArmResult
    holdout: ArmResult
    sample_ratio: SampleRatio | None
    conversion: Uplift
    revenue: Uplift
    margin: Uplift
    margin_earned: Estimate | NotEstimable
    next_window_closes_at: datetime | None
    last_window_closes_at: datetime | None
    warnings: tuple[str, ...]
    changed_rate: ChangedRate | None = None
    left_out: LeftOut = field(default_factory=LeftOut)
    method: str = FIXED_HORIZON


def analyse_workspace(
    workspace: Workspace,
    *,
    goal: str = "order",
    since: datetime | None = None,
    as_of: datetime | None = None,
    window_days: float | None = None,
    placement: str | None = None,
    brand: Brand | None = None,
) -> HoldoutAnalysis:
    """The holdout analysis of a workspace's ledger.

    Args:
        workspace: whose ledger and brand.
        goal: the brand's goal that counts as success.
        since: only decisions from here on.
        as_of: stand here; default now, or the newest record where the ledger's clock is ahead (a simulation's).
        window_days: default the brand's attribution days.
        placement: only decisions of this placement.
        brand: the brand, where it is loaded already.

    Raises:
        CallersMistake: a goal or placement that the brand does not have, or a window that is not positive.
    """
    brand = brand or load_brand(workspace)
    decisions, outcomes = read_ledger(workspace.database)
    question = question_of(
        brand,
        decisions,
        outcomes,
        goal=goal,
        since=since,
        as_of=as_of,
        window_days=window_days,
        placement=placement,
    )
    merges = read_merges(workspace.database, before=question.as_of)
    analysis = analyse_holdout(decisions, outcomes, question=question, merges=merges)
    remaining = {PERSONALISED: analysis.personalised.n_customers, HOLDOUT: analysis.holdout.n_customers}
    warning = erased_warning(_by_side(erased_by_arm(workspace.database, since=question.since)), remaining)
    return analysis if warning is None else replace(analysis, warnings=(*analysis.warnings, warning))


def _by_side(by_arm: Mapping[str, int]) -> dict[str, int]:
    """Counts of all arms as counts of the held-out and of everybody else."""
    held_out = by_arm.get(HOLDOUT, 0)
    return {PERSONALISED: sum(by_arm.values()) - held_out, HOLDOUT: held_out}


def analyse_holdout(
    decisions: pd.DataFrame, outcomes: pd.DataFrame, *, question: HoldoutQuestion, merges: Sequence[Merge] = ()
) -> HoldoutAnalysis:
    """The holdout analysis of these decisions and outcomes.

    Args:
        decisions: one row a decision with DECISION_COLUMNS.
        outcomes: one row an outcome with OUTCOME_COLUMNS.
        question: what is asked.
        merges: which customers turned out to be one; what any key of a person did, the person did.
    """
    customers, n_mixed, left_out = first_decisions(decisions, question, merges)
    table = with_outcomes(customers, persons(outcomes, merges), question)
    closed = table[table["is_closed"]]
    ratio = _sample_ratio(table)
    reason = _why_not(table, closed, ratio, question)
    samples = {arm: closed[closed["is_holdout"] == (arm == HOLDOUT)] for arm in (PERSONALISED, HOLDOUT)}
    conversion = _uplift(samples, "converted", reason)
    value_reason = reason or why_no_value(question)
    revenue, margin = _uplift(samples, "revenue", value_reason), _uplift(samples, "margin", value_reason)
    changed = changed_rate(closed)
    open_until = table.loc[~table["is_closed"], "first_decided_at"] + question.window
    return HoldoutAnalysis(
        question=question,
        personalised=arm_result(n_customers=int((~table["is_holdout"]).sum()), closed=samples[PERSONALISED]),
        holdout=arm_result(n_customers=int(table["is_holdout"].sum()), closed=samples[HOLDOUT]),
        sample_ratio=ratio,
        conversion=conversion,
        revenue=revenue,
        margin=margin,
        margin_earned=_earned(margin.absolute, len(samples[PERSONALISED])),
        next_window_closes_at=open_until.min().to_pydatetime() if len(open_until) else None,
        last_window_closes_at=open_until.max().to_pydatetime() if len(open_until) else None,
        warnings=_warnings(table, ratio, n_mixed, changed, left_out),
        changed_rate=changed,
        left_out=left_out,
    )


def _sample_ratio(table: pd.DataFrame) -> SampleRatio | None:
    """Over everybody with a decision, closed or not; None where the draw could only come out one way."""
    probabilities = table["holdout_probability"].to_numpy(dtype=np.float64)
    drawn = (probabilities > 0) & (probabilities < 1)
    if not drawn.any():
        return None
    return sample_ratio(int(table["is_holdout"].to_numpy()[drawn].sum()), probabilities[drawn])


def _why_not(
    table: pd.DataFrame, closed: pd.DataFrame, ratio: SampleRatio | None, question: HoldoutQuestion
) -> NotEstimable | None:
    """The first reason why nothing can be estimated, or None."""
    if table.empty:
        return NotEstimable("Nothing has been decided yet.", "no_decisions")
    if closed.empty:
        closes_at = (table["first_decided_at"].min() + question.window).to_pydatetime()
        return NotEstimable(
            f"No {question.window_days:g}-day window has closed by {question.as_of:%Y-%m-%d %H:%M} UTC. "
            f"The first closes at {closes_at:%Y-%m-%d %H:%M} UTC; come back then, or ask for a shorter --window-days.",
            "no_closed_window",
            {"closes_at": closes_at, "window_days": question.window_days},
        )
    if ratio is None:
        return NotEstimable(
            "Every customer was put into one arm with certainty: there is nobody to compare with. "
            "Set holdout_rate in brand.yaml above 0, for example to 0.1.",
            "no_holdout",
        )
    for arm, n in ((HOLDOUT, int(closed["is_holdout"].sum())), (PERSONALISED, int((~closed["is_holdout"]).sum()))):
        if n < MIN_CUSTOMERS:
            return NotEstimable(
                f"{n} {arm} customers have a closed window; at least {MIN_CUSTOMERS} in each arm are needed.",
                "too_few_customers",
                {"arm": arm, "n": n, "needed": MIN_CUSTOMERS},
            )
    if not ratio.is_healthy:
        return NotEstimable(_mismatch(ratio), "sample_ratio_mismatch", {"ratio": ratio})
    return None


def why_no_value(question: HoldoutQuestion) -> NotEstimable | None:
    """Why no money can be estimated, or None where the goal has a value."""
    if question.margin_rate is not None:
        return None
    return NotEstimable(
        f"The goal '{question.goal}' has no value: name the property that holds it in brand.yaml (goals, value).",
        "goal_has_no_value",
        {"goal": question.goal},
    )


def _mismatch(ratio: SampleRatio) -> str:
    return (
        f"The arms are not as large as their draw makes them: {ratio.n_holdout} of {ratio.n_customers} customers are "
        f"held out where {ratio.expected_n_holdout:.0f} were expected (p = {ratio.p_value:.2g}). Decisions of one arm "
        f"are lost or doubled, so the arms cannot be compared; find out where before you trust any difference."
    )


def _uplift(samples: dict[str, pd.DataFrame], metric: str, reason: NotEstimable | None) -> Uplift:
    if reason is not None:
        return Uplift(reason, reason)
    treatment = Sample.of(samples[PERSONALISED][metric].to_numpy(dtype=np.float64))
    control = Sample.of(samples[HOLDOUT][metric].to_numpy(dtype=np.float64))
    if metric == "converted":
        return Uplift(difference_of_rates(treatment, control), relative_difference_of_rates(treatment, control))
    return Uplift(difference_of_means(treatment, control), relative_difference_of_means(treatment, control))


def arm_result(*, n_customers: int, closed: pd.DataFrame) -> ArmResult:
    """What the customers of one arm did.

    Args:
        n_customers: all of them.
        closed: one row a customer whose window has closed, as `with_outcomes` gives it.
    """
    n = len(closed)
    means = closed[["converted", "revenue", "margin"]].mean() if n else pd.Series(dtype=float)
    return ArmResult(
        n_customers=n_customers,
        n_closed=n,
        n_converted=int(closed["converted"].sum()),
        rate=float(means.get("converted", np.nan)),
        revenue_per_customer=float(means.get("revenue", np.nan)),
        margin_per_customer=float(means.get("margin", np.nan)),
    )


def _earned(margin: Estimate | NotEstimable, n_personalised: int) -> Estimate | NotEstimable:
    return margin.times(n_personalised) if isinstance(margin, Estimate) else margin


def _warnings(
    table: pd.DataFrame, ratio: SampleRatio | None, n_mixed: int, changed: ChangedRate | None, left_out: LeftOut
) -> tuple[str, ...]:
    warnings = []
    if ratio is not None and not ratio.is_healthy:
        warnings.append(_mismatch(ratio))
    if n_mixed > _MIXED_ARMS_RATE * len(table):
        warnings.append(
            f"{n_mixed} customers were decided for in both arms; each counts in the arm of their first decision. "
            f"The brand's name or holdout_rate has changed."
        )
    if left_out:
        warnings.append(left_out.warning)
    if changed is not None:
        warnings.append(changed.warning)
    return tuple(warnings)
