"""The rows of Texts: one part of an action a row, one locale a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.faults import closest_name
from features.sheets import layout
from features.sheets.cells import EMPTY
from features.sheets.layout import Kind, Row, row_of
from features.sheets.rows import rows_of
from features.sheets.walking import TWICE, Walk
from features.yaml_file import Location

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet


@dataclass(slots=True)
class _Said:
    """One of several parts, such as the second reply: its cells by their key, and what they say."""

    cells: dict[str, Cell]
    values: dict[str, object]

    @property
    def value(self) -> object:
        """A text by itself, or keys and values."""
        if set(self.values) == {""}:
            return self.values[""]
        named = {key: each for key, each in self.values.items() if key}
        if (text := self.values.get("")) is None:
            return named
        return {"text": text, **named}


Numbered = dict[Location, dict[int, _Said]]


def read_texts(walk: Walk, sheet: Worksheet) -> None:
    """Takes every row into its action; parts that are counted are put together when all rows are read."""
    numbered: Numbered = {}
    for cells in rows_of(walk, sheet):
        if (at := walk.whose(cells)) is None or (named := cells.get(layout.PART)) is None:
            continue
        if (row := _row(walk, named)) is None:
            continue
        for locale in (header for header in cells if header in walk.brand.locales):
            _take(walk, (*at, row.root, locale), row, cells[locale], numbered)
    for location, parts in numbered.items():
        _put_together(walk, location, parts)


def _row(walk: Walk, named: Cell) -> Row | None:
    part = walk.value(named, Kind.TEXT)
    written = "" if part is EMPTY else " ".join(str(part).split())
    row = row_of(written.lower())
    if row is None:
        names = layout.row_names()
        problem = f"names '{written}', which is no part of an action." if written else "is empty."
        walk.fault(named, problem, f"The parts are: {', '.join(names)}.", closest_name(written, names))
    return row


def _take(walk: Walk, at: Location, row: Row, cell: Cell, numbered: Numbered) -> None:
    """One cell: what a row says in one locale."""
    walk.stand(at[:-1], cell)
    walk.stand(at, cell, instead=row.path == ("body",))  # what is wrong with a message as a whole
    value = walk.value(cell, row.kind)
    if row.number is None:
        for length in range(1, len(row.path) + 1):
            walk.stand((*at, *row.path[:length]), cell)
        if value is not EMPTY:
            walk.set(_part(walk, at), row.path, value, cell)
        return
    walk.stand((*at, *row.path), cell)
    if value is EMPTY:
        return
    said = numbered.setdefault((*at, *row.path), {}).setdefault(row.number, _Said({}, {}))
    if row.key in said.values:
        walk.fault(cell, "says again what stands in another row.", TWICE)
    said.cells[row.key], said.values[row.key] = cell, value


def _put_together(walk: Walk, location: Location, parts: dict[int, _Said]) -> None:
    """The parts in their order; a number that was left out closes up, but for those that stand for a place."""
    listed = _part(walk, location[:-1]).setdefault(str(location[-1]), [])
    for index, number in enumerate(sorted(parts)):
        said = parts[number]
        first = next(iter(said.cells.values()))
        walk.stand((*location, index), first)
        for key, cell in said.cells.items():
            walk.stand((*location, index, key or "text"), cell, instead=True)
        if location[-1] == "parameters" and number != index:
            walk.fault(first, f"is given, but parameter {index + 1} is not.", "A template's parameters have no gaps.")
        listed.append(said.value)


def _part(walk: Walk, at: Location) -> dict[str, Any]:
    """The rendering or template of one locale of one action."""
    _, _, root, locale = at
    part: dict[str, Any] = walk.action(at).setdefault(str(root), {}).setdefault(str(locale), {})
    return part
