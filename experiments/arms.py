"""What each arm of an experiment earned: every arm beside the first one, at one fixed horizon.

Unit, clock, success and windows are those of the holdout analysis, with one difference: a customer's clock starts at
their first decision *in the experiment*. Held-out customers are no part of it. The first arm of brand.yaml is the one
that the others are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from experiments.analysis import ArmResult, Uplift, arm_result, why_no_value
from experiments.holdout_customers import (
    HoldoutQuestion,
    LeftOut,
    drawn_once,
    in_order,
    in_question,
    persons,
    with_outcomes,
)
from experiments.holdout_question import question_of, read_ledger
from experiments.metrics import (
    MIN_CONVERTED,
    MIN_CUSTOMERS,
    SAMPLE_RATIO_ALPHA,
    NotEstimable,
    Sample,
    difference_of_means,
    difference_of_rates,
    relative_difference_of_means,
    relative_difference_of_rates,
)
from experiments.records import read_merges
from features.brand import Brand, Experiment, load_brand
from features.faults import CallersMistake
from features.merges import Merge
from features.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's customers beside those of the reference arm; the reference has nothing beside it."""

    name: str
    policy: str
    share: float
    result: ArmResult
    conversion: Uplift | None
    revenue: Uplift | None
    margin: Uplift | None


@dataclass(frozen=True, slots=True)
class ArmsAnalysis:
    """Every arm of one experiment, in the order of brand.yaml.

    Attributes:
        p_value: of the arms' sizes, if the shares of brand.yaml were those that customers were drawn with; None where
            nobody was decided for.
    """

    question: HoldoutQuestion
    experiment: str
    arms: tuple[Arm, ...]
    p_value: float | None
    n_mixed: int
    next_window_closes_at: datetime | None
    warnings: tuple[str, ...]
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def reference(self) -> Arm:
        """The arm that the others are compared with."""
        return self.arms[0]


def analyse_arms_of(
    workspace: Workspace,
    *,
    goal: str = "order",
    since: datetime | None = None,
    as_of: datetime | None = None,
    window_days: float | None = None,
    placement: str | None = None,
    brand: Brand | None = None,
) -> ArmsAnalysis:
    """The comparison of the arms of a workspace's experiment; arguments as in the holdout analysis.

    Raises:
        CallersMistake: brand.yaml has no experiment, or no such goal or placement, or the window is not positive.
    """
    brand = brand or load_brand(workspace)
    if brand.experiment is None:
        raise CallersMistake(
            "Asked to compare the arms of an experiment, but brand.yaml has none. Add `experiment` with a name and two "
            "arms or more (docs/policies.md); decisions from then on are in an arm."
        )
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
    return analyse_arms(decisions, outcomes, question=question, experiment=brand.experiment, merges=merges)


def analyse_arms(
    decisions: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    question: HoldoutQuestion,
    experiment: Experiment,
    merges: Sequence[Merge] = (),
) -> ArmsAnalysis:
    """The comparison of an experiment's arms from these decisions and outcomes.

    Args:
        decisions: one row a decision with DECISION_COLUMNS.
        outcomes: one row an outcome with OUTCOME_COLUMNS.
        question: what is asked.
        experiment: whose arms, by its name; decisions of arms that it no longer has are left out.
        merges: which customers turned out to be one; who was drawn under two keys is left out.
    """
    kept = in_question(decisions, question)
    kept = kept[(kept["experiment"] == experiment.name) & kept["arm"].isin(list(experiment.arms))]
    kept, left_out = drawn_once(in_order(kept, merges))
    first = kept.drop_duplicates("customer_key")
    n_mixed = len(kept.drop_duplicates(["customer_key", "arm"])) - len(first)
    customers = pd.DataFrame(
        {
            "customer_key": first["customer_key"].to_numpy(dtype=np.int64),
            "first_decided_at": first["decided_at"].array,
            "arm": first["arm"].to_numpy(dtype=object),
        }
    )
    table = with_outcomes(customers, persons(outcomes, merges), question)
    shares = {name: arm.share for name, arm in experiment.arms.items()}
    p_value = _sizes_p_value({name: int((table["arm"] == name).sum()) for name in shares}, shares)
    open_until = table.loc[~table["is_closed"], "first_decided_at"] + question.window
    return ArmsAnalysis(
        question=question,
        experiment=experiment.name,
        arms=_compared(table, question=question, experiment=experiment, p_value=p_value),
        p_value=p_value,
        n_mixed=n_mixed,
        next_window_closes_at=open_until.min().to_pydatetime() if len(open_until) else None,
        warnings=_warnings(p_value, n_mixed, left_out),
        left_out=left_out,
    )


def _compared(
    table: pd.DataFrame, *, question: HoldoutQuestion, experiment: Experiment, p_value: float | None
) -> tuple[Arm, ...]:
    everybody = {name: table[table["arm"] == name] for name in experiment.arms}
    closed = {name: rows[rows["is_closed"]] for name, rows in everybody.items()}
    reference, *_ = experiment.arms
    no_value = why_no_value(question)
    compared = []
    for name, arm in experiment.arms.items():
        uplifts: list[Uplift | None] = [None, None, None]
        if name != reference:
            pair = {name: closed[name], reference: closed[reference]}
            reason = _why_not(pair, p_value)
            uplifts = [
                _uplift(pair, "converted", reason),
                _uplift(pair, "revenue", reason or no_value),
                _uplift(pair, "margin", reason or no_value),
            ]
        result = arm_result(n_customers=len(everybody[name]), closed=closed[name])
        compared.append(Arm(name, arm.policy.name, arm.share, result, *uplifts))
    return tuple(compared)


def _uplift(pair: Mapping[str, pd.DataFrame], metric: str, reason: NotEstimable | None) -> Uplift:
    """The first of the two arms less the second."""
    if reason is not None:
        return Uplift(reason, reason)
    treatment, control = (Sample.of(rows[metric].to_numpy(dtype=np.float64)) for rows in pair.values())
    too_few = _too_few_converted(pair, metric)
    if metric == "converted":
        return Uplift(
            difference_of_rates(treatment, control), too_few or relative_difference_of_rates(treatment, control)
        )
    if too_few is not None:
        return Uplift(too_few, too_few)
    return Uplift(difference_of_means(treatment, control), relative_difference_of_means(treatment, control))


def _why_not(pair: Mapping[str, pd.DataFrame], p_value: float | None) -> NotEstimable | None:
    for name, rows in pair.items():
        if len(rows) < MIN_CUSTOMERS:
            return NotEstimable(
                f"{len(rows)} customers of arm '{name}' have a closed window; at least {MIN_CUSTOMERS} in each arm are "
                f"needed.",
                "too_few_customers",
                {"arm": name, "n": len(rows), "needed": MIN_CUSTOMERS},
            )
    if p_value is not None and p_value < SAMPLE_RATIO_ALPHA:
        return NotEstimable(_mismatch(p_value), "sample_ratio_mismatch_of_arms", {"p": p_value})
    return None


def _too_few_converted(pair: Mapping[str, pd.DataFrame], metric: str) -> NotEstimable | None:
    for name, rows in pair.items():
        n = int(np.count_nonzero(rows[metric]))
        if n < MIN_CONVERTED:
            return NotEstimable(
                f"{n} customers of arm '{name}' reached the goal within their window; at least {MIN_CONVERTED} in each "
                f"arm are needed.",
                "too_few_converted",
                {"arm": name, "n": n, "needed": MIN_CONVERTED},
            )
    return None


def _sizes_p_value(n_customers: Mapping[str, int], shares: Mapping[str, float]) -> float | None:
    """Of the arms' sizes under their shares, by the chi-squared test."""
    from scipy.stats import chisquare

    total = sum(n_customers.get(name, 0) for name in shares)
    if total == 0:
        return None
    whole = sum(shares.values())
    observed = [n_customers.get(name, 0) for name in shares]
    return float(chisquare(observed, [total * share / whole for share in shares.values()]).pvalue)


def _mismatch(p_value: float) -> str:
    return (
        f"The arms are not as large as their shares make them (p = {p_value:.2g}): decisions of one arm are lost or "
        f"doubled, or the shares were changed under the same name. Give an experiment a new name when you change it."
    )


def _warnings(p_value: float | None, n_mixed: int, left_out: LeftOut) -> tuple[str, ...]:
    warnings = []
    if p_value is not None and p_value < SAMPLE_RATIO_ALPHA:
        warnings.append(_mismatch(p_value))
    if n_mixed:
        warnings.append(
            f"{n_mixed} customers were decided for in more than one arm; each counts in the arm of their first "
            f"decision. The shares were changed under the same name: give an experiment a new name when you change it."
        )
    if left_out:
        warnings.append(left_out.warning)
    return tuple(warnings)
