"""What a place's rules look at in a customer, so far as it decides them: of whom this is the same, the rules are too.

Of a number that a rule only compares, the side on which it lies of each number that it is compared with decides; of a
text or a flag its value. Rules that look at anything else (an instant, a list, arithmetic) have no signature.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

from features.compared import compared_with
from features.expressions import Expression, has_value
from features.variable_names import VariableType

_AS_IT_IS = (VariableType.FLAG, VariableType.TEXT)


class Signatures:
    """Gives the signature of customers for some expressions.

    Args:
        expressions: for each of which `has_signature` holds.
    """

    def __init__(self, expressions: Iterable[Expression]) -> None:
        numbers: dict[str, set[float]] = {}
        told: set[str] = set()
        names: set[str] = set()
        for one in expressions:
            names |= one.names
            for name, kind in one.kinds.items():
                if kind is VariableType.NUMBER:
                    numbers.setdefault(name, set()).update(compared_with(one.text, name) or ())
                else:
                    told.add(name)
        self._numbers = tuple((name, tuple(sorted(numbers[name]))) for name in sorted(numbers))
        self._told, self._present = tuple(sorted(told)), tuple(sorted(names - told - numbers.keys()))

    def of(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """The signature of whoever has these values; hashable where those are."""
        found: list[object] = [values.get(name) for name in self._told]
        for name, cuts in self._numbers:
            value = values.get(name)
            if type(value) is float and value == value:
                found.append(bisect_left(cuts, value) + bisect_right(cuts, value))
            else:
                found.append((value, type(value)))
        if self._present:
            found += [has_value(values.get(name)) for name in self._present]
        return tuple(found)


def has_signature(expression: Expression) -> bool:
    """Whether few signatures decide an expression."""
    return all(
        kind in _AS_IT_IS or (kind is VariableType.NUMBER and compared_with(expression.text, name) is not None)
        for name, kind in expression.kinds.items()
    )
