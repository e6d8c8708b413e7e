"""How one action is drawn from the values of all: a distribution that sums to one, then one uniform draw.

The probability that a policy reports is the one with which the draw acts: both read the same `Distribution`, in the
same order. Ties share their probability evenly, so that no action wins by the letter its id starts with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.brand import Policy


@dataclass(frozen=True, slots=True)
class Distribution:
    """The probability of each action, in a fixed order: by id."""

    action_ids: tuple[str, ...]
    probabilities: tuple[float, ...]

    def probability(self, action_id: str) -> float:
        """P(this action); 0 for one that could not be drawn."""
        return dict(zip(self.action_ids, self.probabilities, strict=True)).get(action_id, 0.0)

    def as_dict(self) -> dict[str, float]:
        """Every action with its probability."""
        return dict(zip(self.action_ids, self.probabilities, strict=True))

    def take(self, draw: float) -> str:
        """The action that a uniform draw in [0, 1) falls on."""
        cumulated = 0.0
        taken = ""
        for action_id, probability in zip(self.action_ids, self.probabilities, strict=True):
            if probability > 0.0:
                taken = action_id
                cumulated += probability
                if draw < cumulated:
                    break
        return taken


def distribution_over(values: Mapping[str, float], policy: Policy) -> Distribution:
    """The policy's distribution over the actions that may be taken.

    Args:
        values: the value of each action, in the brand's currency; at least one.
        policy: the policy by name, with its parameters.

    Returns:
        The probabilities, ordered by action id.

    Raises:
        ValueError: there is no action to choose from.
    """
    if not values:
        raise ValueError("Asked for a distribution over no action at all. A policy needs at least one.")
    action_ids = tuple(sorted(values))
    if policy.name == "uniform":
        return Distribution(action_ids, (1.0 / len(action_ids),) * len(action_ids))
    best_value = max(values.values())
    n_best = sum(value == best_value for value in values.values())
    explored = policy.epsilon / len(action_ids) if policy.name == "epsilon_greedy" else 0.0
    exploited = (1.0 - explored * len(action_ids)) / n_best
    return Distribution(
        action_ids,
        tuple(explored + exploited if values[action_id] == best_value else explored for action_id in action_ids),
    )
