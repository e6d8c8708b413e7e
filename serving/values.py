"""What an action is worth: by the response model where it speaks, else by empirical-Bayes rates, then money.

The conversion rate of an action in a segment and funnel stage is shrunken to the action's rate everywhere, which is
shrunken to the catalogue's `expected_rate`; `rewards.prior_strength` says how many decisions the prior weighs:

    rate(action)                 = (converted + strength x expected_rate) / (decided + strength)
    rate(segment, stage, action) = (converted + strength x rate(action))  / (decided + strength)

    value = rate x action.value - incentive.cost x max(rate, purchase_propensity) - channel price

The incentive's cost is charged on everyone likely to redeem it: also on customers who would have bought anyway. Where
a response model expects a reward of the action, that reward has the incentives that were paid in it already:

    value = E[reward | customer, action] - channel price

A reward is everything that follows, whatever brings it; a value by rate is the margin of one goal. Where candidates of
both kinds meet, those by rate are put on the model's scale: see `on_one_scale`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import msgspec
from msgspec.structs import replace

from experiments.by_rate import worth_by_rate
from features.brand import Brand
from features.catalogue import NOTHING, Action, Catalogue
from features.question_actions import with_questions
from serving.next_question.worth import Worth


@dataclass(frozen=True, slots=True)
class ActionCount:
    """How often an action was taken for customers of one segment and stage, and how often its goal followed.

    Attributes:
        n_decided: decisions, each by the share of its attribution window that has passed.
        n_converted: decisions that reached the action's goal so far.
    """

    segment: str
    stage: str
    action_id: str
    n_decided: float
    n_converted: int


@dataclass(frozen=True, slots=True)
class EstimatedRate:
    """A conversion rate with what it rests on."""

    rate: float
    n_decided: float
    n_converted: int
    prior: float


class Rates:
    """Every action's rate by segment and stage, from one reading of the counts."""

    def __init__(self, counts: Iterable[ActionCount], *, priors: Mapping[str, float], strength: float) -> None:
        self._priors = priors
        self._strength = strength
        self._cells: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._estimated: dict[tuple[str, str, str], EstimatedRate] = {}  # as they were asked for
        totals: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for count in counts:
            self._cells[count.segment, count.stage, count.action_id] = (count.n_decided, count.n_converted)
            n_decided, n_converted = totals[count.action_id]
            totals[count.action_id] = (n_decided + count.n_decided, n_converted + count.n_converted)
        self._action_rates = {
            action_id: self._shrunken(*totals[action_id], prior=prior) for action_id, prior in priors.items()
        }

    def rate(self, action_id: str, *, segment: str | None, stage: str) -> EstimatedRate:
        """P(the action's goal is reached in its window) for customers of this segment and stage."""
        cell = (segment or "", stage, action_id)
        if (known := self._estimated.get(cell)) is not None:
            return known
        n_decided, n_converted = self._cells.get(cell, (0.0, 0))
        prior = self._action_rates[action_id]
        estimated = self._estimated[cell] = EstimatedRate(
            rate=self._shrunken(n_decided, n_converted, prior=prior),
            n_decided=n_decided,
            n_converted=n_converted,
            prior=prior,
        )
        return estimated

    def _shrunken(self, n_decided: float, n_converted: int, *, prior: float) -> float:
        n_decided = max(n_decided, n_converted)  # what converted in its first hour was decided once
        return (n_converted + self._strength * prior) / (n_decided + self._strength)


def prior_rates(brand: Brand, catalogue: Catalogue) -> dict[str, float]:
    """What is believed of each action before anything was measured, `nothing` included."""
    actions = with_questions(catalogue, brand).actions
    return {NOTHING: brand.rewards.organic_rate} | {action.id: action.expected_rate for action in actions}


class Valuation(msgspec.Struct, frozen=True):
    """What taking one action is worth, in the brand's currency, with how it was reached.

    A struct, as `Offer` is: each decision makes some dozens.

    Attributes:
        action_id: `nothing` included.
        value: by which it competes.
        rate: of its goal.
        worth: of a question, what its value rests on.
        reward: E[reward | customer, action] of the response model, where that is what the value rests on.
        beyond_rate: how much more the value is than by the rate; 0 where there is no reward.
        base: what puts it beside those with a reward, in the value; None where all are on one scale already.
    """

    action_id: str
    value: float
    rate: EstimatedRate
    worth: Worth | None = None
    reward: float | None = None
    beyond_rate: float = 0.0
    base: float | None = None


def value_action(
    action: Action,
    *,
    rate: EstimatedRate,
    purchase_propensity: float | None,
    channel_price: float,
    reward: float | None = None,
) -> Valuation:
    """The expected margin of an action, after its incentive and the price of its channel.

    Args:
        action: the action, whose `value` is the margin of its goal.
        rate: P(goal) if the action is taken.
        purchase_propensity: P(buys within the middle horizon), None where no model said so.
        channel_price: the price of one message.
        reward: what the response model expects, incentives paid; None where it says nothing of the action.
    """
    by_rate = worth_by_rate(
        action, rate=rate.rate, purchase_propensity=purchase_propensity, channel_price=channel_price
    )
    if reward is None:
        return Valuation(action.id, by_rate, rate)
    value = reward - channel_price
    return Valuation(action.id, value, rate, None, reward, value - by_rate)


def value_of_nothing(*, rate: EstimatedRate, goal_value: float, reward: float | None = None) -> Valuation:
    """The expected margin of saying nothing: what comes by itself, and costs nothing.

    Args:
        rate: P(goal) if nothing is said.
        goal_value: the margin of a reached goal, as the placement's actions value it on average.
        reward: what the response model expects of silence; None where it says nothing of it.
    """
    by_rate = rate.rate * goal_value
    if reward is None:
        return Valuation(NOTHING, by_rate, rate)
    return Valuation(NOTHING, reward, rate, None, reward, reward - by_rate)


def on_one_scale(valuations: Sequence[Valuation]) -> Sequence[Valuation]:
    """Everything that competes in one decision, valued so that it can be compared.

    An action that the response model cannot speak of is worth what it is by its rate and, on top, what the model
    expects of the other actions beyond theirs, on average; a question what its answer adds to what comes anyway.

    Args:
        valuations: of all candidates of one decision.
    """
    told = [one for one in valuations if one.reward is not None]
    if not told or len(told) == len(valuations):
        return valuations
    beyond = [one.beyond_rate for one in told if one.action_id != NOTHING] or [told[0].beyond_rate]
    base, anyway = fsum(beyond) / len(beyond), comes_anyway(valuations)
    return [
        one if one.reward is not None else _beside(one, base=base if one.worth is None else anyway)
        for one in valuations
    ]


def comes_anyway(valuations: Iterable[Valuation]) -> float:
    """What a response model expects whatever is done: of silence, else of the action that earns least; else 0."""
    rewards = {one.action_id: one.reward for one in valuations if one.reward is not None}
    return rewards.get(NOTHING, min(rewards.values(), default=0.0))


def _beside(valuation: Valuation, *, base: float) -> Valuation:
    return replace(valuation, value=valuation.value + base, base=base)
