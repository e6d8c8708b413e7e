"""The tokens of an expression in CEL, and what brackets hold together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?P<text>'[^'\\\n]*'|\"[^\"\\\n]*\")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<mark>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]])"
)
_NOT_READ_HERE = ("'''", '"""', "//")  # texts over several lines, and comments
_ARE_NO_NAMES = ("true", "false", "null", "in")


class Token(NamedTuple):
    """One token, and where it stands in the expression."""

    kind: str
    text: str
    start: int
    end: int


Tokens = Sequence[Token]


def tokens_of(expression: str) -> list[Token] | None:
    """The tokens; None where something in the expression is not read here, such as an escape within a text."""
    if any(mark in expression for mark in _NOT_READ_HERE):
        return None
    found: list[Token] = []
    place, end = 0, len(expression.rstrip())
    while place < end:
        if expression[place].isspace():
            place += 1
        elif (token := _TOKEN.match(expression, place)) is not None and token.lastgroup is not None:
            found.append(Token(token.lastgroup, token[0], token.start(), token.end()))
            place = token.end()
        else:
            return None
    return found


def top(tokens: Tokens) -> list[tuple[int, Token]]:
    """The tokens that no bracket encloses, the outermost brackets themselves among them, with their places."""
    depth, found = 0, []
    for place, token in enumerate(tokens):
        depth -= token.text in (")", "]")
        if depth == 0:
            found.append((place, token))
        depth += token.text in ("(", "[")
    return found


def split(tokens: Tokens, mark: str) -> list[Tokens]:
    """What stands between the marks that no bracket encloses."""
    places = [place for place, token in top(tokens) if token.text == mark]
    starts = [0, *(place + 1 for place in places)]
    return [tokens[start:end] for start, end in zip(starts, [*places, len(tokens)], strict=True)]


def is_group(tokens: Tokens) -> bool:
    """Whether one pair of brackets encloses it all."""
    return len(tokens) > 2 and tokens[0].text == "(" and [place for place, _ in top(tokens)] == [0, len(tokens) - 1]


def is_name(tokens: Tokens) -> bool:
    """Whether it is a variable's name and nothing else."""
    return len(tokens) == 1 and tokens[0].kind == "name" and tokens[0].text not in _ARE_NO_NAMES
