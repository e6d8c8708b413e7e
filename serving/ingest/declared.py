"""What customers declare, checked by the rules of brand.yaml before it counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from features.brand import Brand, Trait

TEXT_LENGTH = 4_096
LARGEST_NUMBER = 1e15
LONGEST_ZONE = 64  # characters; the longest name there is has 32
OF_EVERYBODY = ("locale", "time_zone")  # known of customers without being traits of brand.yaml
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


class WrongValueError(ValueError):
    """A declared value that its trait does not allow; the message is the rule."""


Read = Callable[[Any], Any]


class DeclaredTraits:
    """Reads values of the traits of one brand."""

    def __init__(self, brand: Brand) -> None:
        self._read: dict[str, Read] = {name: _reader(trait) for name, trait in brand.traits.items()}
        self._read |= {name: _OF_EVERYBODY[name] for name in OF_EVERYBODY}
        self.texts = frozenset(
            name for name, trait in brand.traits.items() if trait.type == "text" and name not in OF_EVERYBODY
        )
        self.names = tuple(self._read)

    def __contains__(self, name: object) -> bool:
        return name in self._read

    def read(self, name: str, value: Any) -> Any:
        """The value as it is kept: text, number, truth value or list; None takes back what was said before.

        Raises:
            WrongValueError: the trait does not allow that value.
        """
        return None if value is None else self._read[name](value)


def as_answer(value: Any) -> str | None:
    """A kept value as the text of the column `answer`."""
    if value is None or type(value) is str:
        return value
    return json.dumps(value, ensure_ascii=False)


def _reader(trait: Trait) -> Read:
    return _BY_TYPE[trait.type](trait.choices)


def _choice(choices: tuple[str, ...]) -> Read:
    def read(value: Any) -> str:
        if value not in choices:
            raise WrongValueError(f"must be one of: {', '.join(choices)}")
        return str(value)

    return read


def _choices(choices: tuple[str, ...]) -> Read:
    def read(value: Any) -> list[str] | None:
        listed = _listed(value)
        if listed is None or not all(isinstance(one, str) and one in choices for one in listed):
            raise WrongValueError(f"must be a list of these: {', '.join(choices)}")
        return list(dict.fromkeys(listed)) or None  # none of them: taken back

    return read


def _listed(value: Any) -> list[Any] | None:
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else None


def _number(value: Any) -> float | int:
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= LARGEST_NUMBER:
        raise WrongValueError(f"must be a number between -{LARGEST_NUMBER:g} and {LARGEST_NUMBER:g}")
    return int(number) if isfinite(number) and number == int(number) else number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise WrongValueError("must be true or false")


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except (TypeError, ValueError):
        raise WrongValueError("must be a date such as '1990-04-23'") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH:
        raise WrongValueError(f"must be a text of at most {TEXT_LENGTH} characters")
    return value


def _locale(value: Any) -> str:
    text = value.replace("_", "-") if isinstance(value, str) else ""
    if not _LOCALE.fullmatch(text):
        raise WrongValueError("must be written like en, hi-IN or hi-Latn")
    return text


def _time_zone(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_ZONE or not _is_zone(value):
        raise WrongValueError("must be an IANA name such as Asia/Kolkata")
    return value


@lru_cache(maxsize=1_024)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # a name that is a path, or of a folder; ZoneInfoNotFoundError is a KeyError
        return False
    except KeyError:
        return False
    return True


_BY_TYPE: Mapping[str, Callable[[tuple[str, ...]], Read]] = {
    "choice": _choice,
    "choices": _choices,
    "number": lambda _: _number,
    "boolean": lambda _: _boolean,
    "date": lambda _: _date,
    "text": lambda _: _text,
}
_OF_EVERYBODY: Mapping[str, Read] = {"locale": _locale, "time_zone": _time_zone}
