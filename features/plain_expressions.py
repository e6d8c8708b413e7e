"""Expressions that only compare what is known with what is written, as Python functions: a thirtieth of CEL's time.

Most rules of a catalogue are such: `n_orders >= 2.0 && skin_need in ['acne']`. A decision asks dozens of them, and
about numbers that no other customer has, so that nothing can be remembered. Everything else stays CEL's, and so does
whatever names a variable that is not known: what an unknown makes of `&&` and `||` is CEL's to say.

    either := both ('||' both)*          both := one ('&&' one)*
    one    := not | '(' either ')' | flag | name compared literal | name 'in' '[' literal (',' literal)* ']'
    not    := '!' (not | '(' either ')' | flag)

Numbers are compared with decimals by `==`, `!=`, `<`, `<=`, `>`, `>=`, texts with texts by `==` and `!=`: where types
would mix, it is not plain.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from features.variable_names import VariableType

Plain = Callable[[Mapping[str, object]], object]
"""What an expression gives for the values of all its variables, each of the type that CEL would be given."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+\.\d+)(?![\w.])|(?P<text>'[^'\\]*'|\"[^\"\\]*\")|(?P<name>[A-Za-z_]\w*)(?![\w(.])"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],]))"
)
_COMPARED: dict[str, Callable[[Any, Any], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY = ("==", "!=")


class _NotPlainError(Exception):
    """It says more than is understood here."""


def plain(text: str, types: Mapping[str, VariableType | None]) -> Plain | None:
    """The expression as a function; None where it is not plain.

    Args:
        text: an expression that CEL takes.
        types: of its variables; None for `has_<name>`, which is a flag.
    """
    if text.strip() in types:
        name = text.strip()
        return None if types[name] is VariableType.DATE else operator.itemgetter(name)
    try:
        return _Reader(text, types).whole()
    except _NotPlainError:
        return None


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str, types: Mapping[str, VariableType | None]) -> None:
        self._types, self._place = types, 0
        self._tokens = list(_tokens(text))

    def whole(self) -> Plain:
        found = self._either()
        if self._place < len(self._tokens):
            raise _NotPlainError
        return found

    def _either(self) -> Plain:
        parts = [self._both()]
        while self._takes("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda values: any(part(values) for part in parts)

    def _both(self) -> Plain:
        parts = [self._one()]
        while self._takes("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda values: all(part(values) for part in parts)

    def _one(self) -> Plain:
        if self._takes("!"):
            negated = self._negated()
            return lambda values: not negated(values)
        if self._takes("("):
            inside = self._either()
            self._must_take(")")
            return inside
        name, kind = self._name()
        return self._about(name, kind)

    def _negated(self) -> Plain:
        """What stands behind a `!`, which binds closer than what compares."""
        if self._sign() in ("!", "("):
            return self._one()
        name, kind = self._name()
        if kind is not VariableType.FLAG or self._sign() in _COMPARED or self._peek() == ("name", "in"):
            raise _NotPlainError
        return operator.itemgetter(name)

    def _name(self) -> tuple[str, VariableType]:
        kind, name = self._next()
        if kind != "name" or name not in self._types:
            raise _NotPlainError
        return name, self._types[name] or VariableType.FLAG

    def _about(self, name: str, kind: VariableType) -> Plain:
        """What is asked of one variable."""
        sign = self._sign()
        if sign in _COMPARED:
            self._place += 1
            if kind is not VariableType.NUMBER and sign not in _EQUALITY:
                raise _NotPlainError
            compared, literal = _COMPARED[sign], self._literal(kind)
            return lambda values: compared(values[name], literal)
        if self._peek() == ("name", "in"):
            self._place += 1
            listed = frozenset(self._listed(kind))
            return lambda values: values[name] in listed
        if kind is not VariableType.FLAG:
            raise _NotPlainError
        return operator.itemgetter(name)

    def _listed(self, kind: VariableType) -> list[object]:
        self._must_take("[")
        literals = [self._literal(kind)]
        while self._takes(","):
            literals.append(self._literal(kind))
        self._must_take("]")
        return literals

    def _literal(self, kind: VariableType) -> object:
        written, said = self._next()
        if kind is VariableType.NUMBER and written == "number":
            return float(said)
        if kind is VariableType.TEXT and written == "text":
            return said[1:-1]
        if kind is VariableType.FLAG and said in ("true", "false"):
            return said == "true"
        raise _NotPlainError

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._place] if self._place < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        found = self._peek()
        self._place += 1
        return found

    def _sign(self) -> str:
        kind, said = self._peek()
        return said if kind == "sign" else ""

    def _takes(self, sign: str) -> bool:
        if self._sign() != sign:
            return False
        self._place += 1
        return True

    def _must_take(self, sign: str) -> None:
        if not self._takes(sign):
            raise _NotPlainError


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place, text = list[tuple[str, str]](), 0, text.rstrip()
    while place < len(text):
        if (found := _TOKEN.match(text, place)) is None or found.lastgroup is None:
            raise _NotPlainError
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return tokens
