"""What each action of a place is expected to earn from one customer, where a response model says so.

A reward is money: what follows within the attribution window, whoever is asked, less the incentives that are paid. What
the model cannot speak of (an action of a kind that it never saw, a customer of whom nothing current is known) is
absent, and is valued by its rate. Where the brand speaks first and the model cannot speak of silence, it is not asked:
whether to speak is decided on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from serving.scoring import ScoredCustomer
    from serving.shelf import Place
    from training.artifact import ResponseModel


class Expected(Protocol):
    """E[reward | customer, action], by action; from a model now, or from a record of then."""

    def rewards(self, scored: ScoredCustomer, place: Place) -> Mapping[str, float]:
        """By the action's id, `nothing` included; without those that nothing is said of."""


class NothingExpected:
    """No response model is served."""

    def rewards(self, scored: ScoredCustomer, place: Place) -> Mapping[str, float]:
        """Of no action."""
        return _OF_NONE


class ExpectedNow:
    """What a response model says.

    Args:
        model: that is served.
    """

    def __init__(self, model: ResponseModel) -> None:
        self._model = model

    def rewards(self, scored: ScoredCustomer, place: Place) -> Mapping[str, float]:
        """Of a customer whose current features are known; one array for all actions of the place."""
        if not scored.is_known:
            return _OF_NONE
        rewards = self._model.rewards(scored.inputs[None, :], place.features)[0].tolist()
        if place.placement.initiated_by == "brand" and rewards[0] != rewards[0]:
            return _OF_NONE  # silence competes here, and a reward is not compared with a rate's
        return {one.action_id: reward for one, reward in zip(place.features, rewards, strict=True) if reward == reward}


class ExpectedThen:
    """What a decision was made by, as its record has it.

    Args:
        record: whose candidates say what was expected of them.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._rewards = {
            (one["action_id"], one["key"].partition("@")[2]): one["reward"]
            for one in record["candidates"]
            if "reward" in one
        }

    def rewards(self, scored: ScoredCustomer, place: Place) -> Mapping[str, float]:
        """Of the candidates on this channel; on the only one that was asked for keys name none."""
        here = ("", place.channel_name)
        return {action_id: reward for (action_id, channel), reward in self._rewards.items() if channel in here}


_OF_NONE: Mapping[str, float] = {}
NOTHING_EXPECTED = NothingExpected()
