"""What an action is worth by its rate alone, before any response model speaks of it."""

from __future__ import annotations

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
    value = rate * action.value - channel_price
    if action.incentive is not None:
        value -= action.incentive.cost * max(rate, purchase_propensity or 0.0)
    return value
