"""What an expression compares a number with: of two numbers on the same side of all of that it says the same."""

from __future__ import annotations

import re

_TEXT_LITERAL = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[A-Za-z_]\w*|&&|\|\||[<>=!]=|\S")
_COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
_BEFORE, _AFTER = {"", "(", "&&", "||"}, {"", ")", "&&", "||"}
_NOT_READ = ("\\", "//", "'''", '"""')  # escapes, comments, texts of several lines


def compared_with(text: str, name: str) -> tuple[float, ...] | None:
    """The numbers, rising, with which an expression compares a variable; None where it may do anything else with it.

    Args:
        text: of an expression in CEL that compiles.
        name: of a variable whose value is a number.
    """
    if any(sign in text for sign in _NOT_READ):
        return None
    tokens = ["", "", "", *_TOKEN.findall(_TEXT_LITERAL.sub("''", text)), "", "", ""]
    found: set[float] = set()
    for place, token in enumerate(tokens):
        if token == name:
            number = _compared_at(tokens, place)
            if number is None:
                return None
            found.add(number)
    return tuple(sorted(found))


def _compared_at(tokens: list[str], place: int) -> float | None:
    """The number on the other side of a comparison that stands for itself; None where there is none."""
    if tokens[place + 1] in _COMPARISONS and tokens[place - 1] in _BEFORE and tokens[place + 3] in _AFTER:
        number = tokens[place + 2]
    elif tokens[place - 1] in _COMPARISONS and tokens[place + 1] in _AFTER and tokens[place - 3] in _BEFORE:
        number = tokens[place - 2]
    else:
        return None
    return float(number) if number[:1].isdigit() else None
