"""What a value looks like in a cell, and what a cell means.

A text is written as it is. Where a cell could not hold it so (it is empty, only white space, has a sign that XML
has not, or looks like a number where a number would be one), the cell says `json:` and the value as JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from features.sheets.layout import Kind

CELL_LIMIT = 32_767  # characters of a cell, in UTF-16, by Excel's specification
JSON_MARK = "json:"

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class WrongCell:
    """Why a cell means nothing."""

    problem: str
    rule: str


class _Empty:
    """What an empty cell holds: the key is not there."""


EMPTY = _Empty()


def written(value: object, kind: Kind) -> str | int | float:
    """The cell of a value; `read` gives the value back, the very same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if not isinstance(value, str):
        return _as_json(value)
    looks_else = kind is Kind.PLAIN and not isinstance(_plain(value.strip()), str)
    needs_mark = not value.strip() or value.startswith(JSON_MARK) or _UNSAFE.search(value) or looks_else
    return _as_json(value) if needs_mark else value


def read(cell: object, kind: Kind, *, zone: ZoneInfo) -> object:
    """What a cell means: a value of JSON types, EMPTY, or a WrongCell.

    Args:
        cell: as openpyxl gives it.
        kind: what it should hold.
        zone: of a day or hour that names none.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return EMPTY
    if isinstance(cell, dt.datetime | dt.date):
        return _instant(cell, kind, zone)
    if isinstance(cell, str) and cell.startswith(JSON_MARK):
        return _from_json(cell)
    if kind is Kind.NAMES:
        return [name.strip() for name in str(cell).split(",") if name.strip()]
    if kind is Kind.TEXT or kind is Kind.INSTANT:
        return _text(cell)
    value = _plain(cell.strip()) if isinstance(cell, str) else cell
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, bool | int | float | str):
        return cell if isinstance(value, str) and kind is Kind.PLAIN else value
    return WrongCell(f"holds '{cell}'.", f"It is {kind.value}.")


def too_long(cell: object) -> bool:
    """Whether a cell cannot hold that much."""
    return isinstance(cell, str) and len(cell.encode("utf-16-le")) // 2 > CELL_LIMIT


def _number(value: int | float) -> str | int | float:
    """The number, or its digits as text where the file format would round them: it writes sixteen."""
    kept = float(f"{value:.16g}") == value if isinstance(value, float) else abs(value) < 2**53
    return value if kept else repr(value)


def _as_json(value: object) -> str:
    return JSON_MARK + json.dumps(value).replace("_x", "\\u005fx")


def _from_json(cell: str) -> object:
    try:
        return json.loads(cell.removeprefix(JSON_MARK), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return WrongCell(f"holds '{cell[:60]}'.", f"What stands after {JSON_MARK} is JSON.")


def _no_number(name: str) -> object:
    raise ValueError(name)


def _plain(text: str) -> object:
    """What a text says where numbers, true and false are meant by themselves, as in YAML."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return text
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else float(text)


def _text(cell: object) -> object:
    if isinstance(cell, bool):
        return WrongCell(f"holds {str(cell).upper()}.", "Make it a text: format the cell as text and write it again.")
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return cell if isinstance(cell, str) else str(cell)


def _instant(cell: dt.date, kind: Kind, zone: ZoneInfo) -> object:
    if kind is not Kind.INSTANT:
        return WrongCell(f"holds the date {cell}.", "Make it a text: format the cell as text and write it again.")
    moment = cell if isinstance(cell, dt.datetime) else dt.datetime(cell.year, cell.month, cell.day, tzinfo=zone)
    return moment.replace(tzinfo=zone).isoformat()
