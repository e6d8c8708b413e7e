"""What an action is worth by its rate alone, before any response model speaks of it."""

from __future__ import annotations

from collections.abc import Sequence

from features.catalogue import Action


def worth_by_rate(action: Action, *, rate: float, purchase_propensity: float | None, channel_price: float) -> float:
    """The expected margin of an action, after its incentive and the price of its channel.

    The incentive is charged on everyone likely to redeem it: also on customers who would have bought anyway.

    Args:
        action: whose `value` is the margin of its goal.
        rate: P(goal) if the action is taken.
        purchase_propensity: P(buys within the middle horizon), None where no model said so.
        channel_price: the price of one message.
    """
    value = before_incentive(action, rate=rate, channel_price=channel_price)
    if action.incentive is not None:
        value -= action.incentive.cost * max(rate, purchase_propensity or 0.0)
    return value


def before_incentive(action: Action, *, rate: float, channel_price: float) -> float:
    """The expected margin of an action's goal, after the price of its channel."""
    return rate * action.value - channel_price


def after_incentives(
    gained: Sequence[float], costs: Sequence[float], rates: Sequence[float], *, purchase_propensity: float | None
) -> list[float]:
    """As `worth_by_rate`, of many actions with an incentive, for one customer.

    Args:
        gained: of each action what it is worth before its incentive.
        costs: of each one's incentive.
        rates: P(goal) if it is taken.
        purchase_propensity: of the customer.
    """
    likely = purchase_propensity or 0.0
    return [
        value - cost * (likely if likely > rate else rate)
        for value, cost, rate in zip(gained, costs, rates, strict=True)
    ]
