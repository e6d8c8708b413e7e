"""A response model on decisions that came after everything that taught it: what its policy earns beside others'.

The rows' own logged probabilities carry the comparison; the model under judgement only steadies it. A policy takes, of
what was a candidate and could be drawn, the action that it holds to be worth most after the price of its channel; the
response model's is the rule by which decisions are served (`serving.expected`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from training.labels import EPOCH
from training.response.actions import NOTHING_ID, ActionFeatures
from training.response.in_use import InUse
from training.response.policy_value import Estimate, Judge, customers_of
from training.response.rows import ResponseRows
from training.split import TooLittleData

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Rewards = Callable[[NDArray[np.float32], Sequence[ActionFeatures]], Floats]

JUDGED_SHARE = 1 / 3  # of the time that is left once one attribution window lies between
QUESTION = "question"


@dataclass(frozen=True, slots=True)
class Windows:
    """Which rows teach and which judge; between them lies an attribution window, in which nothing is decided."""

    teach: NDArray[np.bool_]
    judge: NDArray[np.bool_]
    judged_from: datetime


def windows_of(rows: ResponseRows, *, window: timedelta) -> Windows:
    """The newest third judges; whatever teaches is closed before it begins.

    Args:
        rows: whose own windows have closed.
        window: the attribution window.

    Raises:
        TooLittleData: the decisions do not span more than one attribution window.
    """
    at_us = rows.at.astype("datetime64[us]").astype(np.int64)
    window_us = window // timedelta(microseconds=1)
    first, last = int(at_us.min()), int(at_us.max())
    if last - first <= window_us:
        begin = EPOCH + timedelta(microseconds=first)
        raise TooLittleData(
            "A response model is judged on decisions that were made after everything that taught it was over. All "
            f"{len(rows):,} decisions whose outcomes are known lie within one attribution window ({window.days} days); "
            f"it takes those of {2 * window.days} days, and {window.days} more for their outcomes.",
            ready=begin + 3 * window,
        )
    judged_from = last - int((last - first - window_us) * JUDGED_SHARE)
    return Windows(at_us < judged_from - window_us, at_us >= judged_from, EPOCH + timedelta(microseconds=judged_from))


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy's action on the judging rows, and what each earned.

    Attributes:
        rows: that judge.
        in_use: what their decisions held each action to be worth by rates.
        said: E[reward | x, action] of the model that is judged, `(n, n_actions)`; NaN where it does not speak.
        judge: doubly robust rewards.
        may: shape `(n, n_actions)`, what could be drawn and was a candidate.
    """

    rows: ResponseRows
    in_use: InUse
    said: Floats
    judge: Judge
    may: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: ResponseRows, in_use: InUse, rewards: Rewards) -> Policies:
        """The policies of some rows, judged with a model that they did not teach."""
        said = spoken(rewards, rows, in_use)
        known = np.array(rewards(rows.X, rows.actions))  # steadies, and need not be asked by decisions
        n = np.isfinite(known).sum(axis=1, keepdims=True)
        usual = np.where(n > 0, np.nansum(known, axis=1, keepdims=True) / np.maximum(n, 1), rows.reward.mean())
        known = np.where(np.isfinite(known), known, usual)
        taken = known[np.arange(len(rows)), rows.action]
        may = np.isfinite(in_use.by_rate)
        if rows.available is not None:
            may &= rows.available
        may[np.arange(len(rows)), rows.action] |= ~may.any(axis=1)
        judge = Judge(
            m=known[:, 0],
            d=known - known[:, :1],
            left=rows.reward - taken,
            action=rows.action,
            propensity=rows.propensity,
            customers=customers_of(rows.cluster),
            available=may,
        )
        return cls(rows, in_use, said, judge, may)

    def by_model(self, said: Floats | None = None) -> Ints:
        """The rule by which a response model is served; of another model where its sayings are given."""
        rewards = np.where(np.isfinite(self.in_use.by_rate), self.said if said is None else said, np.nan)
        worth = self.in_use.by_rate + self._beside(rewards)
        return self._best(np.where(np.isfinite(rewards), rewards - self.in_use.price, worth))

    def by_rates(self) -> Ints:
        """What the rates would have taken."""
        return self._best(self.in_use.by_rate)

    def always(self, action: int) -> Ints:
        """One action for everybody; where it may not be taken, what the rates would."""
        return np.where(self.may[:, action], action, self.by_rates())

    def earned(self, policy: Ints) -> Floats:
        """What a policy earned, doubly robust, by row, prices taken off."""
        return np.asarray(self.judge.of_policy(policy) - self.in_use.price[np.arange(len(policy)), policy])

    def value(self, policy: Ints) -> Estimate:
        """The mean of what a policy earned a decision."""
        return self.judge.mean(self.earned(policy))

    def gain(self, policy: Ints, other: Ints) -> Estimate:
        """How much more one policy earned a decision than another, on the same rows."""
        return self.judge.mean(self.earned(policy) - self.earned(other))

    def promised(self, policy: Ints, other: Ints) -> float:
        """How much more it was expected to earn, by the model."""
        known = self.judge.m[:, np.newaxis] + self.judge.d - self.in_use.price
        rows = np.arange(len(policy))
        return float((known[rows, policy] - known[rows, other]).mean())

    def effective_n(self, policy: Ints, among: NDArray[np.bool_] | None = None) -> float:
        """How many decisions of that policy the log is worth, or some rows of it."""
        weights = np.where(self.rows.action == policy, 1.0 / self.rows.propensity, 0.0)
        weights = weights if among is None else weights[among]
        squared = float((weights**2).sum())
        return float(weights.sum()) ** 2 / squared if squared > 0.0 else 0.0

    def _beside(self, rewards: Floats) -> Floats:
        """What puts values by rate on the model's scale, `(n, n_actions)`, as decisions do (`serving.values`)."""
        is_silence = np.array([action.action_id == NOTHING_ID for action in self.rows.actions])
        is_question = np.array([action.kind == QUESTION for action in self.rows.actions])
        beyond = rewards - self.in_use.price - self.in_use.by_rate
        of_actions = np.isfinite(beyond) & ~is_silence
        counted = np.where(of_actions.any(axis=1, keepdims=True), of_actions, np.isfinite(beyond))
        n = counted.sum(axis=1, keepdims=True)
        base = np.where(counted, beyond, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
        least = np.where(np.isfinite(rewards), rewards, np.inf).min(axis=1, keepdims=True)
        silence = np.where(np.isfinite(rewards) & is_silence, rewards, np.inf).min(axis=1, keepdims=True)
        anyway = np.where(np.isfinite(silence), silence, np.where(np.isfinite(least), least, 0.0))
        return np.where(is_question, anyway, base)

    def _best(self, worth: Floats) -> Ints:
        known = np.where(self.may & np.isfinite(worth), worth, -np.inf)
        best = known.argmax(axis=1)
        return np.where(np.isfinite(known[np.arange(len(best)), best]), best, self.rows.action).astype(np.intp)


def spoken(rewards: Rewards, rows: ResponseRows, in_use: InUse) -> Floats:
    """What a served model says of these rows, `(n, n_actions)`; NaN where decisions would not ask it.

    A question is worth what its answer is; and where silence is a candidate that the model cannot speak of, it is asked
    of nothing.
    """
    said = np.array(rewards(rows.X, rows.actions))
    for place, action in enumerate(rows.actions):
        if action.kind == QUESTION:
            said[:, place] = np.nan
        if action.action_id == NOTHING_ID:
            said[np.isfinite(in_use.by_rate[:, place]) & ~np.isfinite(said[:, place])] = np.nan
    return said
