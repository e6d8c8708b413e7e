"""A rule's expression as words: what has to be so of a customer.

The usual shapes are worded: comparisons, `in`, `&&`, `||`, `!`, `has_<name>`, `size`, what a text begins or ends with.
Words never say more or less than the expression. Whatever has another shape stands there as it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.explaining.tokens import Token, Tokens, is_group, is_name, split, tokens_of, top

_COMPARED = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OF_TEXTS = {"startsWith": "begins with", "endsWith": "ends with", "contains": "contains"}
_DENIED = {"is one of": "is none of", "is among": "is not among", "is known": "is not known", "is true": "is not true"}
_FLAGS = {"true": True, "false": False}
_HAS = "has_"
_TRUE = "is true"


@dataclass(frozen=True, slots=True)
class Named:
    """What a variable is called among people.

    Attributes:
        words: with its article.
        unit: of its numbers; empty where they have none.
        if_true: what is said of it where it is true or false, and is true.
    """

    words: str
    unit: str = ""
    if_true: str = _TRUE


Names = Callable[[str], Named]


def in_words(expression: str, names: Names) -> str:
    """What has to be so, as the end of a sentence that begins with "only where".

    Args:
        expression: in CEL, as the catalogue has it.
        names: what a variable is called.
    """
    tokens = tokens_of(expression)
    return f"`{expression.strip()}` holds" if tokens is None else str(_Words(expression, names).of(tokens))


@dataclass(frozen=True, slots=True)
class _Clause:
    """Words for a part: what is said of a subject, or several parts joined by a word."""

    subject: str
    predicate: str = ""
    joined_by: str = ""

    def __str__(self) -> str:
        return f"{self.subject} {self.predicate}".rstrip()

    def within(self, word: str) -> str:
        """As a part of several that a word joins."""
        return f"({self})" if self.joined_by not in ("", word) else str(self)


@dataclass(frozen=True, slots=True)
class _Words:
    expression: str
    names: Names

    def of(self, tokens: Tokens) -> _Clause:
        """Words for a part; what binds loosest is taken apart first, as CEL reads it."""
        marks = [token.text for _, token in top(tokens)]
        if "?" in marks:
            return self._as_written(tokens)
        for mark, word in (("||", "or"), ("&&", "and")):
            if mark in marks:
                return self._joined(tokens, mark, word)
        if compared := [mark for mark in marks if mark in _COMPARED or mark == "in"]:
            told = self._compared(tokens, compared[0]) if len(compared) == 1 else None
        elif is_group(tokens):
            return self.of(tokens[1:-1])
        else:
            told = self._denied(tokens[1:]) if marks[:1] == ["!"] else self._of_one(tokens)
        return told or self._as_written(tokens)

    def _as_written(self, tokens: Tokens) -> _Clause:
        written = self.expression[tokens[0].start : tokens[-1].end] if tokens else self.expression
        return _Clause(f"`{written}`", "holds")

    def _joined(self, tokens: Tokens, mark: str, word: str) -> _Clause:
        *first, last = (self.of(part).within(word) for part in split(tokens, mark))
        return _Clause(f"{', '.join(first)} {word} {last}", joined_by=word)

    def _denied(self, tokens: Tokens) -> _Clause | None:
        if is_group(tokens):
            told = self.of(tokens)
        elif (one := self._of_one(tokens)) is not None:
            told = one
        else:
            return None
        for said, denied in _DENIED.items():
            if f"{told.predicate} ".startswith(f"{said} "):
                return _Clause(told.subject, denied + told.predicate.removeprefix(said))
        return _Clause(f"it is not so that ({told})")

    def _of_one(self, tokens: Tokens) -> _Clause | None:
        """What is true or false by itself: `has_x`, a flag, what a text begins with."""
        match [token.text for token in tokens]:
            case [name] if is_name(tokens):
                return self._flag(name)
            case [_, ".", how, "(", text, ")"] if how in _OF_TEXTS and is_name(tokens[:1]) and tokens[4].kind == "text":
                return _Clause(self.names(tokens[0].text).words, f"{_OF_TEXTS[how]} {_quoted(text)}")
        return None

    def _flag(self, name: str) -> _Clause | None:
        if not name.startswith(_HAS):
            return _Clause(self.names(name).words, self.names(name).if_true)
        known = self.names(name.removeprefix(_HAS))
        return _Clause(known.words, "is known") if known.if_true == _TRUE else None

    def _compared(self, tokens: Tokens, mark: str) -> _Clause | None:
        left, right = split(tokens, mark)
        if mark == "in":
            return self._among(left, right)
        if _literal(left) is not None:
            left, mark, right = right, _TURNED.get(mark, mark), left
        if (subject := self._subject(left)) is None:
            return None
        if len(right) == 1 and (flag := _FLAGS.get(right[0].text)) is not None:
            return self._is_flag(subject, flag=flag, mark=mark)
        value = _literal(right, subject.unit)
        if value is None and (other := self._subject(right)) is not None:
            value = other.words
        return None if value is None else _Clause(subject.words, f"{_COMPARED[mark]} {value}")

    def _is_flag(self, subject: Named, *, flag: bool, mark: str) -> _Clause | None:
        if mark not in ("==", "!="):
            return None
        wanted = flag is (mark == "==")
        return _Clause(subject.words, subject.if_true if wanted else subject.if_true.replace("is ", "is not ", 1))

    def _among(self, left: Tokens, right: Tokens) -> _Clause | None:
        if (value := _literal(left)) is not None and is_name(right):
            return _Clause(value, f"is among {self.names(right[0].text).words}")
        if len(right) < 3 or right[0].text != "[" or (subject := self._subject(left)) is None:
            return None
        listed = [_literal(part, subject.unit) for part in split(right[1:-1], ",")]
        if None in listed:
            return None
        return _Clause(subject.words, f"is one of ({', '.join(value for value in listed if value is not None)})")

    def _subject(self, tokens: Tokens) -> Named | None:
        if is_name(tokens):
            return self.names(tokens[0].text)
        match [token.text for token in tokens]:
            case ["size", "(", name, ")"] if is_name(tokens[2:3]):
                return Named(f"the size of {self.names(name).words}")
        return None


def _literal(tokens: Tokens, unit: str = "") -> str | None:
    """A text or a number as people write it; None for anything else."""
    match tokens:
        case [Token("text", text)]:
            return _quoted(text)
        case [Token("number", number)]:
            return _number(number, unit)
        case [Token("mark", "-"), Token("number", number)]:
            return f"-{_number(number, unit)}"
    return None


def _quoted(text: str) -> str:
    return f"'{text[1:-1]}'"


def _number(text: str, unit: str) -> str:
    value = float(text)
    said = f"{int(value):,}" if value.is_integer() else f"{value:,}"
    return f"{said} {'day' if (said, unit) == ('1', 'days') else unit}".rstrip()
