"""What a customer would probably answer, from what the customers of their segment have said.

    P(answer)           = (told + strength / answers)         / (all told + strength)
    P(answer | segment) = (told there + strength · P(answer)) / (all told there + strength)

Shrunken twice, as the rates of actions are: a segment in which three people spoke is believed to be like everyone, and
a brand in which nobody did holds every choice for as likely as another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from features.brand import Trait
from serving.schemas import TraitValue


@dataclass(frozen=True, slots=True)
class ToldCount:
    """How many customers of a segment have said this of a trait; segment '' where no model assigned one."""

    trait: str
    segment: str
    answer: TraitValue
    n_customers: float


@dataclass(frozen=True, slots=True)
class Likely:
    """One answer and its probability."""

    answer: TraitValue
    probability: float


class Told:
    """What customers have said, by trait and segment, from one reading."""

    def __init__(self, counts: Iterable[ToldCount] = (), *, strength: float) -> None:
        self._strength = strength
        self._cells: dict[tuple[str, str], dict[TraitValue, float]] = defaultdict(lambda: defaultdict(float))
        self._everyone: dict[str, dict[TraitValue, float]] = defaultdict(lambda: defaultdict(float))
        for count in counts:
            self._cells[count.trait, count.segment][_hashable(count.answer)] += count.n_customers
            self._everyone[count.trait][_hashable(count.answer)] += count.n_customers

    def likely(self, name: str, trait: Trait, *, segment: str | None) -> tuple[Likely, ...]:
        """Every answer with its probability, which sum to one, in a fixed order.

        Args:
            name: of the trait.
            trait: whose choices there are. Of a number or a date the answers are those that were read: a few values
                that stand for everybody's. Of free text nobody can say, and there are none.
            segment: the customer's, None where it is unknown.
        """
        everyone = self._everyone.get(name, {})
        answers = _choices(trait) or tuple(sorted(everyone, key=repr))
        if not answers:
            return ()
        overall = self._shrunken(everyone, dict.fromkeys(answers, 1.0 / len(answers)))
        here = self._cells.get((name, segment or ""), {})
        return tuple(Likely(_as_declared(answer, trait), p) for answer, p in self._shrunken(here, overall).items())

    def n_told(self, name: str) -> float:
        """How many customers have said anything of that trait."""
        return sum(self._everyone.get(name, {}).values())

    def _shrunken(self, counts: dict[TraitValue, float], prior: dict[TraitValue, float]) -> dict[TraitValue, float]:
        total = sum(counts.get(answer, 0.0) for answer in prior) + self._strength
        return {answer: (counts.get(answer, 0.0) + self._strength * p) / total for answer, p in prior.items()}


def _choices(trait: Trait) -> tuple[TraitValue, ...]:
    return (False, True) if trait.type == "boolean" else trait.choices


def _hashable(answer: TraitValue) -> TraitValue:
    return answer[0] if isinstance(answer, list) and len(answer) == 1 else answer


def _as_declared(answer: TraitValue, trait: Trait) -> TraitValue:
    """As a request tells it: who taps one of several choices has said that one."""
    return [str(answer)] if trait.type == "choices" else answer
