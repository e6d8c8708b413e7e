"""What asking is worth: the expected value of knowing the answer, pure.

    gain  = Σ P(answer | x) · max value(a | x, answer)  −  max value(a | x)
    value = gain · decisions expected before the trait's half-life  −  the cost of asking

Where `value(a | x) = Σ P(answer | x) · value(a | x, answer)`, by total probability: what an action is worth to a
customer who has not said is the mean over what they would say. So a trait that changes no ranking is worth exactly
nothing, however much it moves every value, and the gain is never an artefact of two models that disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

DECISIONS_WITHOUT_EVIDENCE = 1.0  # the one that follows the answer
EVIDENCE_WEIGHS = 10.0  # so many observed customers weigh as much as that belief
LONGEST_USE_DAYS = 365.0  # a birthday is known for life, but nobody plans the brand's talks for a hundred years


@dataclass(frozen=True, slots=True)
class Answered:
    """One thing that the customer may say, and what every action would then be worth.

    Attributes:
        probability: P(this answer | x); they sum to one over the answers.
        offered: by action, the value of what may be offered once this is known, `nothing` where it competes.
        unasked: by action, the value to such a customer of what may be offered now, without asking.
    """

    probability: float
    offered: Mapping[str, float]
    unasked: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Worth:
    """The value of a question, and what it rests on; money in the brand's currency.

    Attributes:
        informed: Σ P(answer | x) · max value(a | x, answer).
        uninformed: max value(a | x).
        decisions: expected before the trait's half-life.
        cost: of asking once.
        n_told: customers whose answers the probabilities rest on.
    """

    informed: float
    uninformed: float
    decisions: float
    cost: float
    n_told: float = 0.0

    @property
    def gain(self) -> float:
        """What knowing the answer adds to one decision."""
        return self.informed - self.uninformed

    @property
    def value(self) -> float:
        """What asking is worth."""
        return self.gain * self.decisions - self.cost

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self) | {"gain": self.gain, "value": self.value}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> Worth:
        """What `as_dict` told of."""
        return cls(**{each.name: told[each.name] for each in fields(cls)})


def worth_of_asking(answers: Sequence[Answered], *, decisions: float, cost: float, n_told: float = 0.0) -> Worth:
    """What a question is worth to this customer here.

    Args:
        answers: every answer that is thought possible; without any, nothing is known of what they would say, and the
            question is worth no more than its cost.
        decisions: expected before the trait's half-life, at least 0.
        cost: of asking once, in the brand's currency.
        n_told: customers whose answers the probabilities rest on, to be told with the value.
    """
    informed = sum(answer.probability * max(answer.offered.values(), default=0.0) for answer in answers)
    means: dict[str, float] = {}
    for answer in answers:
        for action, value in answer.unasked.items():
            means[action] = means.get(action, 0.0) + answer.probability * value
    uninformed = max(means.values(), default=0.0)
    if abs(informed - uninformed) <= _NOISE * max(abs(informed), abs(uninformed)):
        informed = uninformed  # sums in another order differ in their last digits, and would rank nothing by noise
    return Worth(informed, uninformed, decisions, cost, n_told)


_NOISE = 1e-9


def decisions_expected(followed_by: Iterable[int], *, window_days: float, half_life_days: float) -> float:
    """How many decisions a customer is expected to get before an answer of theirs has lost half its weight.

    Args:
        followed_by: of each earlier decision that was looked at, how many more the same person got within the window
            after it.
        window_days: the window's length, more than 0.
        half_life_days: of the trait.

    Returns:
        At least a little: without any evidence one decision, the one after the answer.
    """
    counts = list(followed_by)
    days = min(half_life_days, LONGEST_USE_DAYS)
    seen = sum(counts) * days / window_days
    return (EVIDENCE_WEIGHS * DECISIONS_WITHOUT_EVIDENCE + seen) / (EVIDENCE_WEIGHS + len(counts))
