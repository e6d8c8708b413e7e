"""How one action is drawn from the values of all: a distribution that sums to one, then one uniform draw.

The probability that a policy reports is the one with which the draw acts: both read the same `Distribution`, in the
same order. Ties share their probability evenly, so that no action wins by the letter its id starts with.

`squarecb` weighs by the inverse of the gap to the best of K actions, so that a close second is tried often and a poor
one hardly ever:

    gap(a)         = clip((best value - value(a)) / scale, 0, 1)
    probability(a) = 1 / (K + gamma x gap(a)) for every action that is not the best; the best ones share the rest

The gap is clipped, not each value: where all values are below zero, clipped values would all be equal, and "nothing"
would be as likely as the worst loss.

References:
    Foster, D. and Rakhlin, A. (2020). Beyond UCB: optimal and efficient contextual bandits with regression oracles.
    Algorithm 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import msgspec

from features.brand import Brand, Exploration, Placement, Policy

NO_EXPLORATION = Exploration()
_CANONICAL = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True)
class Distribution:
    """The probability of each action, in a fixed order: by id.

    What it tells of itself is made once: many customers share one.

    Attributes:
        parameters: what the probabilities were made with, as it is logged: the policy's name and its own numbers, and
            which actions were explored as new.
    """

    action_ids: tuple[str, ...]
    probabilities: tuple[float, ...]
    parameters: Mapping[str, object] = field(default_factory=dict, hash=False)

    def probability(self, action_id: str) -> float:
        """P(this action); 0 for one that could not be drawn."""
        return dict(zip(self.action_ids, self.probabilities, strict=True)).get(action_id, 0.0)

    def as_dict(self) -> dict[str, float]:
        """Every action with its probability."""
        return dict(zip(self.action_ids, self.probabilities, strict=True))

    def take(self, draw: float) -> str:
        """The action that a uniform draw in [0, 1) falls on."""
        return self.taken(draw)[0]

    def taken(self, draw: float) -> tuple[str, float]:
        """The action that a uniform draw in [0, 1) falls on, with its probability."""
        upper, takeable = self._cumulated
        return takeable[min(bisect_right(upper, draw), len(takeable) - 1)] if takeable else ("", 0.0)

    @cached_property
    def whole(self) -> float:
        """The sum of the probabilities: no finite number where one of them is none."""
        return sum(self.probabilities)

    @cached_property
    def recorded(self) -> msgspec.Raw:
        """As the record of a decision has it."""
        return msgspec.Raw(_CANONICAL.encode(self.as_dict()))

    @cached_property
    def told(self) -> str:
        """As `recorded`, as the ledger keeps it beside the record."""
        return bytes(self.recorded).decode()

    @cached_property
    def recorded_parameters(self) -> msgspec.Raw:
        """What the probabilities were made with, as the record has it."""
        return msgspec.Raw(_CANONICAL.encode(dict(self.parameters)))

    @cached_property
    def _cumulated(self) -> tuple[list[float], list[tuple[str, float]]]:
        """Below which draw each action is taken that may be, and those actions with their probabilities."""
        takeable = [one for one in zip(self.action_ids, self.probabilities, strict=True) if one[1] > 0.0]
        return list(accumulate([probability for _, probability in takeable])), takeable


def policy_for(placement: Placement, *, brand: Brand, arm: str) -> Policy:
    """The policy of a customer in a placement: the placement's own, else that of their arm, else the brand's.

    Whoever is held out, or in no experiment, is in none of its arms; what they would have got is the brand's policy's.
    """
    if placement.policy is not None:
        return placement.policy
    if brand.experiment is not None and (of_arm := brand.experiment.arms.get(arm)) is not None:
        return of_arm.policy
    return brand.policy


def looks_at_the_best_only(policy: Policy) -> bool:
    """Whether of all values the policy only asks which are the best, and not how far the others are behind."""
    return policy.name != "squarecb"


def distribution_over(
    values: Mapping[str, float],
    policy: Policy,
    *,
    reward_scale: float | None = None,
    new: Collection[str] = frozenset(),
    exploration: Exploration = NO_EXPLORATION,
    anyway: float = 0.0,
) -> Distribution:
    """The policy's distribution over the actions that may be taken.

    Args:
        values: the value of each action, in the brand's currency; at least one.
        policy: the policy by name, with its parameters.
        reward_scale: what `squarecb` divides a gap by; where it is None, the largest of these values without its sign,
            beyond `anyway`.
        new: actions that have not had their `exploration.exposures` yet; those that are not among `values` are not
            looked at.
        exploration: which share of the probability the new actions have among them, beside what the policy gives them.
        anyway: what every value contains whatever is done, as what a response model expects does.

    Returns:
        The probabilities, ordered by action id.

    Raises:
        ValueError: there is no action to choose from.
    """
    if not values:
        raise ValueError("Asked for a distribution over no action at all. A policy needs at least one.")
    action_ids = tuple(sorted(values))
    probabilities, parameters = _of_policy(action_ids, values, policy, reward_scale, anyway)
    explored = [action_id for action_id in action_ids if action_id in new] if new else []
    if explored and exploration.share > 0.0:
        apart, rest = exploration.share / len(explored), 1.0 - exploration.share
        probabilities = tuple(
            rest * probability + (apart if action_id in new else 0.0)
            for action_id, probability in zip(action_ids, probabilities, strict=True)
        )
        parameters |= {"explored": explored, "explored_share": exploration.share}
    return Distribution(action_ids, probabilities, parameters)


def _of_policy(
    action_ids: tuple[str, ...],
    values: Mapping[str, float],
    policy: Policy,
    reward_scale: float | None,
    anyway: float,
) -> tuple[tuple[float, ...], dict[str, object]]:
    """The probabilities in the order of the ids, and what to log of how they were made."""
    n_actions = len(action_ids)
    parameters: dict[str, object] = {"name": policy.name}
    if policy.name == "uniform":
        return (1.0 / n_actions,) * n_actions, parameters
    best = max(values.values())
    if policy.name == "squarecb":
        scale = reward_scale or max(abs(value - anyway) for value in values.values()) or 1.0
        parameters |= {"gamma": policy.gamma, "reward_scale": scale, "n_actions": n_actions}
        return _inverse_gap_weights(action_ids, values, best=best, gamma=policy.gamma, scale=scale), parameters
    n_best = sum(value == best for value in values.values())
    explored = 0.0
    if policy.name == "epsilon_greedy":
        parameters["epsilon"] = policy.epsilon
        explored = policy.epsilon / n_actions
    exploited = (1.0 - explored * n_actions) / n_best
    return (
        tuple(explored + exploited if values[action_id] == best else explored for action_id in action_ids),
        parameters,
    )


def _inverse_gap_weights(
    action_ids: tuple[str, ...], values: Mapping[str, float], *, best: float, gamma: float, scale: float
) -> tuple[float, ...]:
    n_actions = len(action_ids)
    weights = {
        action_id: 1.0 / (n_actions + gamma * min((best - values[action_id]) / scale, 1.0))
        for action_id in action_ids
        if values[action_id] != best
    }
    rest = (1.0 - sum(weights.values())) / (n_actions - len(weights))
    return tuple(weights.get(action_id, rest) for action_id in action_ids)
