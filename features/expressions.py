"""CEL expressions of the catalogue: compiled once, tried on typed samples, evaluated on what is known.

CEL does not check types before it runs, so an expression is run on samples of every variable it names when it is
loaded: a type error or an unknown name is the author's mistake, found there. When it is evaluated for a customer, only
the variables it names go in; missing, null and NaN ones stay out, and an expression that needs one of them raises
UnknownName. `has_<name>` says whether `<name>` is known.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from features.cel_loading import load_cel
from features.faults import CallersMistake, closest_name
from features.variable_names import PURCHASE_PROPENSITY, VariableType, of_a_horizon

if TYPE_CHECKING:
    import cel
else:
    cel = load_cel()

_HAS = "has_"
_BOUND = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_TEXT_LITERAL = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
_NUMBER_LITERAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_MAX_SAMPLES = 2000
_SAMPLE_INSTANTS = (datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}

_TYPES: dict[type, VariableType] = {
    bool: VariableType.FLAG,
    int: VariableType.NUMBER,
    float: VariableType.NUMBER,
    str: VariableType.TEXT,
    datetime: VariableType.INSTANT,
    list: VariableType.TEXTS,
}

_AS_THEY_ARE = frozenset((VariableType.NUMBER, VariableType.INSTANT, VariableType.DATE))
"""What CEL gives back as it was given, where it stands alone, and what nearly every customer has another of."""


class InvalidExpression(CallersMistake):
    """An expression that does not parse, names what does not exist, or fails on typed samples."""

    def __init__(self, problem: str, rule: str = "", closest: str | None = None) -> None:
        self.problem, self.rule, self.closest = problem, rule, closest
        super().__init__(
            " ".join(part for part in (problem, rule, f"Closest: '{closest}'." if closest else "") if part)
        )


class UnknownName(LookupError):  # noqa: N818 - it says what is not known, not what went wrong
    """Something that an expression needs is not known of this customer."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"'{name}' is not known.")


class Expression:
    """One compiled expression.

    Attributes:
        text: as it was written.
        names: the variables whose values it may need.
    """

    __slots__ = ("_alone", "_is_date", "_presence", "_program", "_types", "names", "text")

    def __init__(self, text: str, program: cel.Program, types: Mapping[str, VariableType | None]) -> None:
        self.text = text
        self._program = program
        self._presence = tuple((name, name[len(_HAS) :]) for name, kind in types.items() if kind is None)
        self._types = tuple((name, kind) for name, kind in types.items() if kind is not None)
        self._alone = text.strip() if types.get(text.strip()) in _AS_THEY_ARE else None
        self._is_date = types.get(text.strip()) is VariableType.DATE
        self.names = frozenset((*(of for _, of in self._presence), *(name for name, _ in self._types)))

    @property
    def alone(self) -> str | None:
        """The number, instant or date whose name stands there and nothing else; None where there is more or another."""
        return self._alone

    @property
    def kinds(self) -> Mapping[str, VariableType]:
        """The variables whose values it takes, with their types; of others it only asks whether they are known."""
        return dict(self._types)

    def evaluate(self, values: Mapping[str, object]) -> object:
        """The value for these variables; others than `names` are not looked at. A date that stands alone stays a date.

        Raises:
            UnknownName: a variable that the result depends on is absent, None or NaN, or has no usable value.
        """
        if self._alone is not None:
            return self._value_alone(values.get(self._alone))
        context: dict[str, object] = {}
        absent = None
        for name, kind in self._types:
            value = _as_cel(values.get(name), kind)
            if value is None:
                absent = absent or name
            else:
                context[name] = value
        for name, of in self._presence:
            context[name] = has_value(values.get(of))
        try:
            value = self._program.execute(cel.Context(variables=context))
            return value.date() if self._is_date else value
        except (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError):
            raise UnknownName(absent or self.text) from None

    def _value_alone(self, value: object) -> Any:
        """What CEL gives for a name that stands alone: the value as CEL takes it."""
        ((name, kind),) = self._types
        if (found := _as_cel(value, kind)) is None:
            raise UnknownName(name)
        return found.date() if self._is_date else found  # type: ignore[attr-defined]  # of a date it is an instant


def compile_expression(
    text: str, variables: Mapping[str, VariableType], *, result: VariableType | None = None
) -> Expression:
    """The expression, compiled and tried on typed samples of every variable that it names.

    Args:
        text: the expression, in CEL.
        variables: what may be named, with its type.
        result: what it has to give on every sample; None where anything will do.

    Raises:
        InvalidExpression: it does not parse, names an unknown variable or function, or fails on a sample.
    """
    return _compiled(text, tuple(sorted(variables.items())), result)


@lru_cache(maxsize=4096)
def _compiled(text: str, variables: tuple[tuple[str, VariableType], ...], result: VariableType | None) -> Expression:
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise InvalidExpression(f"'{text}' does not parse: {_first_line(error)}") from None
    types = _named(text, program, dict(variables))
    for sample in _samples(text, types):
        _try(program, text, sample, result)
    return Expression(text, program, types)


def _named(text: str, program: cel.Program, variables: dict[str, VariableType]) -> dict[str, VariableType | None]:
    """The variables that the expression names, with their types; None for `has_<name>`."""
    named: dict[str, VariableType | None] = {}
    for name in sorted(set(program.variables()) - set(_BOUND.findall(_TEXT_LITERAL.sub("''", text)))):
        of = name.removeprefix(_HAS)
        if name in variables:
            named[name] = variables[name]
        elif of in variables or (PURCHASE_PROPENSITY in variables and of_a_horizon(of)):
            named[name] = None if name.startswith(_HAS) else VariableType.NUMBER
        else:
            known = [*variables, *(f"{_HAS}{each}" for each in variables)]
            raise InvalidExpression(
                f"'{text}' names '{name}', which does not exist.",
                "An expression may name the brand's traits, features and scores.",
                closest_name(name, known),
            )
    return named


def _samples(text: str, types: Mapping[str, VariableType | None]) -> Iterator[dict[str, object]]:
    """Values of every variable, in every combination up to a limit; the expression's own literals among them."""
    texts = [first or second for first, second in _TEXT_LITERAL.findall(text)]
    numbers = [float(number) for number in _NUMBER_LITERAL.findall(text)]
    beside = sorted({1.0, *numbers, *(number + 0.5 for number in numbers)} | {min(numbers, default=1.0) - 1.0})
    choices: dict[VariableType, list[object]] = {
        VariableType.TEXT: list(dict.fromkeys(["some text", *texts])),
        VariableType.TEXTS: [[], texts or ["some text"]],
        VariableType.NUMBER: list(beside),
        VariableType.FLAG: [True, False],
        VariableType.INSTANT: list(_SAMPLE_INSTANTS),
        VariableType.DATE: [instant.replace(hour=0) for instant in _SAMPLE_INSTANTS],
    }
    each = [choices[kind or VariableType.FLAG] for kind in types.values()]
    if math.prod(map(len, each)) <= _MAX_SAMPLES:
        drawn: Iterator[tuple[object, ...]] = itertools.product(*each)
    else:
        generator = random.Random(0)  # the same samples at every load
        drawn = (tuple(map(generator.choice, each)) for _ in range(_MAX_SAMPLES))
    for values in drawn:
        yield dict(zip(types, values, strict=True))


def _try(program: cel.Program, text: str, sample: dict[str, object], result: VariableType | None) -> None:
    try:
        value = program.execute(cel.Context(variables=sample))
    except RuntimeError as error:
        if "Undefined variable or function" in str(error):
            name = str(error).split("'")[1]
            raise InvalidExpression(f"'{text}' calls '{name}', which CEL does not have.") from None
        raise InvalidExpression(f"'{text}' fails for {_told(sample)}: {_first_line(error)}") from None
    except TypeError:
        rule = "CEL mixes no types: numbers here are decimals (write 1.0), texts stand in quotes; double(x) converts."
        raise InvalidExpression(f"'{text}' mixes types for {_told(sample)}.", rule) from None
    except (ValueError, LookupError, ArithmeticError) as error:
        raise InvalidExpression(f"'{text}' fails for {_told(sample)}: {_first_line(error)}") from None
    found = _TYPES.get(type(value))
    if found is None or (result is not None and found is not result):
        wanted = f"It has to be {result.value}." if result is not None else "It has to be text, a number or an instant."
        given = found.value if found is not None else type(value).__name__
        raise InvalidExpression(f"'{text}' gives {given} for {_told(sample)}.", wanted)


def _told(sample: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in sample.items()) or "no variables"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("ERROR: ").rstrip(".") + "."


def has_value(value: object) -> bool:
    """Whether a value is there: not None, and not a number that is NaN."""
    return value is not None and value == value


def _as_cel(value: object, kind: VariableType) -> object:
    """The value as CEL takes it, or None where it is not known or not of its type."""
    if value is None or value != value:
        return None
    if kind is VariableType.NUMBER:
        try:
            return float(value)  # type: ignore[arg-type]  # numpy's numbers too
        except (TypeError, ValueError):
            return None
    if kind is VariableType.TEXT:
        return value if isinstance(value, str) else None
    if kind is VariableType.FLAG:
        return _FLAGS.get(str(value).lower())
    if kind in (VariableType.INSTANT, VariableType.DATE):
        return _as_instant(value)
    return [str(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else None


def _as_instant(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1e6, tz=UTC)
    return None
