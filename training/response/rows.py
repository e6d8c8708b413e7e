"""What a response model learns from: one row a decision, or a message of a campaign, with what followed.

The features are of before the decision, the reward is what followed it within its window, for whoever was meant to get
the action (intention to treat), incentives paid. The propensity is P(the action that was taken | what was known): a
decision logs it, a past campaign declares it; where it was only inferred, `is_inferred` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from training.response.actions import NOTHING as NOTHING
from training.response.actions import ActionFeatures as ActionFeatures

Floats = NDArray[np.float64]

SAME = 1e-6  # probabilities that differ by less are one and the same


@dataclass(frozen=True, slots=True)
class ResponseRows:
    """Decisions with what followed, ready to be learned from.

    Attributes:
        X: shape `(n, n_inputs)`, float32, NaN where unknown: known before the decision.
        action: shape `(n,)`, which of `actions` was taken.
        reward: shape `(n,)`, in money, or in whatever is to be raised.
        propensity: shape `(n,)`, in (0, 1]: P(that action | what was known).
        cluster: shape `(n,)`, the customer: rows of one customer are not independent of each other.
        at: shape `(n,)`, datetime64[us], UTC.
        actions: the first is what uplift is counted from: `nothing`, or a campaign's control.
        is_inferred: whether the propensities are not those with which somebody drew.
        available: shape `(n, n_actions)`, what could have been taken; None where that is everything.
        probabilities: shape `(n, n_actions)`, P(each action | what was known); None where only that of the action that
            was taken is known.
        left_out: how many decisions are no rows, by the reason in words.
        decision_id: shape `(n,)`, of our own ledger; None for a campaign.
    """

    X: NDArray[np.float32]
    action: NDArray[np.intp]
    reward: Floats
    propensity: Floats
    cluster: NDArray[np.int64]
    at: NDArray[np.datetime64]
    actions: tuple[ActionFeatures, ...]
    is_inferred: bool = False
    available: NDArray[np.bool_] | None = None
    probabilities: Floats | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    decision_id: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        n = len(self.X)
        lengths = {len(of) for of in (self.action, self.reward, self.propensity, self.cluster, self.at)}
        if lengths != {n}:
            raise CallersMistake(f"Asked for response rows of {n} customers beside columns of {sorted(lengths)} rows.")
        if n and not (float(self.propensity.min()) > 0.0 and float(self.propensity.max()) <= 1.0 + 1e-9):
            raise CallersMistake(
                f"Asked to learn from propensities between {self.propensity.min():g} and {self.propensity.max():g}. "
                "What was taken had a probability above 0 and of at most 1; leave out rows whose probability is not "
                "known."
            )
        if not np.isfinite(self.reward).all():
            raise CallersMistake("Asked to learn from rewards that are not all numbers. A customer without one has 0.")
        if n and not (int(self.action.min()) >= 0 and int(self.action.max()) < len(self.actions)):
            raise CallersMistake(f"Asked to learn from actions beyond the {len(self.actions)} that are described.")

    def __len__(self) -> int:
        return len(self.X)

    def taken(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> ResponseRows:
        """Only those rows."""
        return replace(
            self,
            X=self.X[rows],
            action=self.action[rows],
            reward=self.reward[rows],
            propensity=self.propensity[rows],
            cluster=self.cluster[rows],
            at=self.at[rows],
            available=None if self.available is None else self.available[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            decision_id=None if self.decision_id is None else self.decision_id[rows],
        )

    def between(self, action_ids: Sequence[str]) -> ResponseRows:
        """The rows of some actions, the first of them being what uplift is counted from.

        Where these are all that were done, a row's propensity stays what it was. Where there were others, it becomes
        that among these actions, which takes what a row's other actions had: that is known where every action had one
        probability throughout, as in most campaigns.

        Raises:
            CallersMistake: one of them is in no row; or there were others, and probabilities differ by row.
        """
        places = {action.action_id: place for place, action in enumerate(self.actions)}
        unknown = [name for name in action_ids if name not in places or not (self.action == places[name]).any()]
        if unknown:
            there = ", ".join(sorted(places))
            raise CallersMistake(f"Asked for rows of {', '.join(map(repr, unknown))}; there are rows of: {there}.")
        wanted = [places[name] for name in action_ids]
        rows = np.isin(self.action, wanted)
        index = np.full(len(self.actions), -1, dtype=np.intp)
        index[wanted] = np.arange(len(wanted))
        chosen = self.taken(rows)
        propensity = chosen.propensity if rows.all() else _among(chosen, wanted)
        return replace(
            chosen,
            action=index[chosen.action],
            propensity=propensity,
            actions=tuple(self.actions[place] for place in wanted),
            available=None if chosen.available is None else chosen.available[:, wanted],
            probabilities=None,
        )


def _among(rows: ResponseRows, wanted: Sequence[int]) -> Floats:
    """P(the action taken | one of these was), where each had the same probability in all rows."""
    of = {place: rows.propensity[rows.action == place] for place in wanted}
    for place, propensities in of.items():
        if float(np.ptp(propensities)) > SAME:
            raise CallersMistake(
                f"Asked to compare {len(wanted)} of several actions, of which '{rows.actions[place].action_id}' was "
                f"drawn with probabilities from {propensities.min():g} to {propensities.max():g}. A row tells the "
                "probability of its own action only, so that those of the others are not known of it. Compare actions "
                "that had one probability throughout, or import the campaign with these actions alone, "
                "`action_probability` being that among them."
            )
    total = sum(float(propensities[0]) for propensities in of.values())
    return rows.propensity / total
