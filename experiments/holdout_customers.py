"""One row a customer from the ledger: arm, first decision, and what followed within the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.records import HOLDOUT, PERSONALISED
from features.merges import Merge, survivors

DECISION_COLUMNS = ("customer_key", "decided_at", "placement", "arm", "arm_probability", "experiment", "holdout_rate")
OUTCOME_COLUMNS = ("customer_key", "outcome", "goal", "value", "occurred_at", "received_at")


@dataclass(frozen=True, slots=True)
class HoldoutQuestion:
    """What was asked, with every default filled in.

    Attributes:
        goal: the brand's goal that counts as success.
        window_days: how long after a customer's first decision success may come.
        as_of: the instant we stand at; nothing later is looked at.
        since: decisions before it are left out; None for all.
        placement: only decisions of this placement; None for all.
        margin_rate: the share of a conversion's value that is margin; None where the goal has no value.
    """

    goal: str
    window_days: float
    as_of: datetime
    since: datetime | None = None
    placement: str | None = None
    margin_rate: float | None = None

    @property
    def window(self) -> timedelta:
        """The window's length."""
        return timedelta(days=self.window_days)


@dataclass(frozen=True, slots=True)
class ChangedRate:
    """More than one holdout rate among the customers counted: pooled, an arm's mix of times differs from the other's.

    Attributes:
        rates: P(held out), rising.
        since: the instant from which the newest rate alone holds; ask for decisions since then.
    """

    rates: tuple[float, ...]
    since: datetime

    @property
    def warning(self) -> str:
        """What to do about it."""
        rates = ", ".join(f"{rate:.3g}" for rate in self.rates)
        return (
            f"Customers were held out at different rates ({rates}), so one arm holds more of an earlier time than the "
            f"other and a difference can be that of the times. Ask for --since {self.since:%Y-%m-%dT%H:%M:%S}, from "
            f"when on the newest rate alone holds."
        )


def changed_rate(customers: pd.DataFrame) -> ChangedRate | None:
    """Whether these customers, one row each, were drawn at different rates; None where at one."""
    in_order = customers.sort_values("first_decided_at", kind="stable")
    rates = in_order["holdout_probability"].to_numpy(dtype=np.float64).round(6)
    distinct = np.unique(rates)
    if len(distinct) < 2:
        return None
    newest = int(np.flatnonzero(rates != rates[-1])[-1]) + 1
    since = in_order["first_decided_at"].iloc[newest].ceil("s").to_pydatetime()
    return ChangedRate(tuple(distinct.tolist()), since)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """People who had decisions under more than one key before those were joined: they were drawn more than once.

    Whether such a person is seen in two arms depends on the draws, so leaving out only those who are would make the
    arms differ in who is left: with a tenth held out, of people drawn twice 81 % stay personalised and 1 % held out.
    All of them are left out instead, which no draw decides.

    Attributes:
        n_two_arms: of them, those whom the draws put into both arms.
        n_one_arm: the others.
    """

    n_two_arms: int = 0
    n_one_arm: int = 0

    def __bool__(self) -> bool:
        return self.n_two_arms + self.n_one_arm > 0

    @property
    def warning(self) -> str:
        """How many, and why."""
        return (
            f"{self.n_two_arms} customers turned out to be joined of two arms and are left out, and so are "
            f"{self.n_one_arm} who were joined of one arm: they were drawn more than once."
        )


def persons(frame: pd.DataFrame, merges: Sequence[Merge]) -> pd.DataFrame:
    """The records with `customer_key` as it is now; `written_key` is the key under which each was written."""
    ends = survivors(merges)
    written = frame["customer_key"].astype("int64")
    return frame.assign(customer_key=written.map(ends).fillna(written).astype("int64"), written_key=written)


def first_decisions(
    decisions: pd.DataFrame, question: HoldoutQuestion, merges: Sequence[Merge] = ()
) -> tuple[pd.DataFrame, int, LeftOut]:
    """One row a person: arm and instant of the first decision. Whoever is not held out is personalised, in any arm.

    Args:
        decisions: with DECISION_COLUMNS; in rows from before they were kept, the last two are null or not there.
        question: what is asked.
        merges: which customers are one.

    Returns:
        The rows; how many of them were seen in both arms though nobody was joined; and who is left out for joins.
    """
    kept = in_question(decisions, question)
    sides = np.where(kept["arm"].to_numpy() == HOLDOUT, HOLDOUT, PERSONALISED)
    kept, left_out = drawn_once(in_order(kept.assign(arm=sides), merges))
    first = kept.drop_duplicates("customer_key")
    n_mixed = len(kept.drop_duplicates(["customer_key", "arm"])) - len(first)
    customers = pd.DataFrame(
        {
            "customer_key": first["customer_key"].to_numpy(dtype=np.int64),
            "first_decided_at": first["decided_at"].array,
            "is_holdout": first["arm"].to_numpy() == HOLDOUT,
            "holdout_probability": _holdout_probability(first),
        }
    )
    return customers, n_mixed, left_out


def in_question(decisions: pd.DataFrame, question: HoldoutQuestion) -> pd.DataFrame:
    """The decisions that were asked for."""
    keep = decisions["decided_at"] < question.as_of
    if question.since is not None:
        keep &= decisions["decided_at"] >= question.since
    if question.placement is not None:
        keep &= decisions["placement"] == question.placement
    return decisions.loc[keep]


def in_order(decisions: pd.DataFrame, merges: Sequence[Merge]) -> pd.DataFrame:
    """The decisions of persons, the oldest first."""
    return persons(decisions, merges).sort_values(["decided_at", "customer_key"], kind="stable")


def _holdout_probability(first: pd.DataFrame) -> npt.NDArray[np.float64]:
    """P(held out) of each customer: as it was kept, else as an arm of two says it."""
    probability = first["arm_probability"].to_numpy(dtype=np.float64)
    of_two = np.where(first["arm"].to_numpy() == HOLDOUT, probability, 1.0 - probability)
    if "holdout_rate" not in first:
        return of_two
    kept = first["holdout_rate"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(kept), of_two, kept)


def drawn_once(kept: pd.DataFrame) -> tuple[pd.DataFrame, LeftOut]:
    """The decisions of people who had them under one key only, and who the others are."""
    drawn = kept.drop_duplicates(["customer_key", "written_key"]).groupby("customer_key").size()
    is_twice = kept["customer_key"].isin(drawn.index[drawn > 1])
    n_arms = kept[is_twice].groupby("customer_key")["arm"].nunique()
    return kept[~is_twice], LeftOut(int((n_arms > 1).sum()), int((n_arms == 1).sum()))


def with_outcomes(customers: pd.DataFrame, outcomes: pd.DataFrame, question: HoldoutQuestion) -> pd.DataFrame:
    """Adds whether the window is closed, whether the goal was reached within it, and what that was worth."""
    table = customers.assign(is_closed=customers["first_decided_at"] + question.window <= question.as_of)
    typed = outcomes.astype({"customer_key": "int64", "value": "float64"})  # an empty table has no types of its own
    reached = typed.loc[
        (outcomes["outcome"] == "converted")
        & (outcomes["goal"] == question.goal)
        & (outcomes["received_at"] < question.as_of),
        ["customer_key", "occurred_at", "value"],
    ].merge(table[["customer_key", "first_decided_at"]], on="customer_key")
    since = reached["occurred_at"] - reached["first_decided_at"]
    within = reached[(since >= timedelta(0)) & (since < question.window)]
    by_customer = within.groupby("customer_key")["value"].agg(["size", "sum"])
    n_conversions = by_customer["size"].reindex(table["customer_key"]).fillna(0).to_numpy(dtype=np.float64)
    revenue = by_customer["sum"].reindex(table["customer_key"]).fillna(0.0).to_numpy(dtype=np.float64)
    return table.assign(
        converted=(n_conversions > 0).astype(np.float64),
        revenue=revenue,
        margin=revenue * (question.margin_rate or 0.0),
    )
