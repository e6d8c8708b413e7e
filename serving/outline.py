"""What of a place is not the same for everyone: its rules, its texts with slots, its incentives.

What is made of an expression is remembered by the values that it looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.derive import DAY_US
from features.expressions import Expression, UnknownName
from features.rendering import gives_out_codes
from features.surely_said import DAY, YEARS, ordinary_kind
from features.variable_names import VariableType
from serving.eligibility import Offerable
from serving.shelf import evaluated
from serving.signatures import Signatures, has_signature

if TYPE_CHECKING:
    from serving.shelf import Place

REMEMBERED = 1_000  # of each expression

UNKNOWN = ""
"""Of which kind a slot is whose value nobody knows: its text says its default, or cannot be said."""

# Within these an instant is of an ordinary year on whatever wall it is read.
_FIRST_US = (YEARS[0] - 1_969) * 366 * DAY_US
_LAST_US = (YEARS[-1] - 1_970) * 365 * DAY_US


class Known:
    """What is made of an expression, by the values that it looks at.

    Args:
        of: what is made of it.
        expression: of which.
    """

    __slots__ = ("_alone", "_expression", "_found", "_is_instant", "_names", "_of")

    def __init__(self, of: Callable[[Expression, Mapping[str, object]], object], expression: Expression) -> None:
        self._of, self._expression, self._names = of, expression, tuple(expression.names)
        self._alone = expression.alone
        self._is_instant = expression.kinds.get(expression.alone or "") is VariableType.INSTANT
        self._found: dict[Any, object] = {}

    def __call__(self, values: Mapping[str, object]) -> object:
        """What is made of it for these values; others than it names are not looked at."""
        seen = [values.get(name) for name in self._names]
        key = (*seen, *map(type, seen))
        try:
            if (found := self._found.get(key, self)) is not self:
                return found
        except TypeError:  # a list: what comes of it is not remembered
            return self._of(self._expression, values)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        found = self._found[key] = self._of(self._expression, values)
        return found

    def kind(self, values: Mapping[str, object]) -> str | None:
        """As `ordinary_kind` of what is made of it, or `UNKNOWN`: without making it, where a name is all there is.

        Most texts are never read, and nearly every customer's numbers and instants are others than anybody's before.
        """
        if self._alone is not None:
            value = values.get(self._alone)
            if type(value) is float and value == value and not self._is_instant:
                return ordinary_kind(value)
            if type(value) is int and self._is_instant and _FIRST_US < value < _LAST_US:
                return DAY
        made = self(values)
        return UNKNOWN if made is None else ordinary_kind(made)


Asked = Callable[[Callable[[Expression, Mapping[str, object]], object], Expression], Known]


@dataclass(frozen=True, slots=True)
class Slotted:
    """Actions that say the same in the same slots: whatever those say, they have one text.

    Attributes:
        actions: each with its place among all.
        names: of the slots.
        said: what the slots say.
        reads: the variables that these look at, where all are texts and flags: of whom they are the same, the text is.
    """

    actions: tuple[tuple[int, Offerable], ...]
    names: tuple[str, ...]
    said: tuple[Known, ...]
    reads: tuple[str, ...] | None

    def kinds(self, values: Mapping[str, object]) -> tuple[tuple[str, str | None], ...]:
        """Each slot with the kind of its value; None where that is neither ordinary nor unknown."""
        return tuple([(name, one.kind(values)) for name, one in zip(self.names, self.said, strict=True)])

    @property
    def numbers(self) -> frozenset[int]:
        """Where the actions stand."""
        return frozenset(number for number, _ in self.actions)

    @property
    def first(self) -> Offerable:
        """Whose text is that of all."""
        return self.actions[0][1]


@dataclass(frozen=True, slots=True)
class Outline:
    """What of a place is not the same for everyone.

    Attributes:
        verdicts: of its distinct rules: what is compiled from one text is one expression; without a signature: last.
        signatures: of those that have one.
        n_signed: how many these are.
        slotted: the actions whose texts have slots, those of one text together.
        priced: where the actions stand whose incentive costs by the customer.
    """

    verdicts: tuple[Known, ...]
    signatures: Signatures
    n_signed: int
    slotted: tuple[Slotted, ...]
    priced: tuple[int, ...]

    @classmethod
    def of(cls, place: Place, asked: Asked) -> Outline:
        """The outline of a place.

        Args:
            place: of the shelf.
            asked: gives what is remembered of an expression, which several places may share.
        """
        alike: list[list[tuple[int, Offerable]]] = []
        for number, one in enumerate(place.offerables):
            if one.slots:
                same = next((some for some in alike if _say_the_same(some[0][1], one)), None)
                if same is None:
                    alike.append(same := [])
                same.append((number, one))
        rules = [when for when in dict.fromkeys(one.when for one in place.offerables) if when]
        signed, rest = [one for one in rules if has_signature(one)], [one for one in rules if not has_signature(one)]
        return cls(
            tuple(asked(verdict_of, when) for when in (*signed, *rest)),
            Signatures(signed),
            len(signed),
            tuple(
                Slotted(
                    tuple(some), tuple(slots), tuple(asked(evaluated, one) for one in slots.values()), _reads(slots)
                )
                for some in alike
                if (slots := some[0][1].slots)
            ),
            tuple(number for number, one in enumerate(place.offerables) if one.action.incentive is not None),
        )


def _reads(slots: Mapping[str, Expression]) -> tuple[str, ...] | None:
    kinds = {kind for one in slots.values() for kind in one.kinds.values()}
    if not kinds <= {VariableType.TEXT, VariableType.FLAG}:
        return None
    return tuple(sorted(frozenset().union(*[one.names for one in slots.values()])))


def _say_the_same(one: Offerable, other: Offerable) -> bool:
    """Whether two actions have one text wherever and to whomever they are said."""
    mine, theirs = one.action, other.action
    return (
        mine.renderings == theirs.renderings
        and mine.templates == theirs.templates
        and mine.slots == theirs.slots
        and gives_out_codes(mine) == gives_out_codes(theirs)
    )


def verdict_of(when: Expression, values: Mapping[str, object]) -> bool | str:
    """Whether a rule holds, or what it needs that nobody knows."""
    try:
        return when.evaluate(values) is True
    except UnknownName as unknown:
        return str(unknown)
