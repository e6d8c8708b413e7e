"""What a walk over a workbook gathers: plain data, the cell of every key, and what is wrong with cells themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from features.brand import Brand
from features.faults import Fault, closest_name
from features.sheets import layout
from features.sheets.cells import EMPTY, WrongCell, read
from features.sheets.layout import Column, Kind
from features.yaml_file import Location

if TYPE_CHECKING:
    from openpyxl.cell import Cell

ROOT = "actions"
TWICE = "A part of an action has one row."


@dataclass(frozen=True, slots=True)
class Place:
    """One cell."""

    sheet: str
    coordinate: str

    def __str__(self) -> str:
        return f"{self.sheet}!{self.coordinate}"


@dataclass(frozen=True, slots=True)
class SheetFault:
    """One thing wrong in a workbook; `place` is None where it is wrong in no cell of it."""

    place: Place | None
    fault: Fault


@dataclass(slots=True)
class Walk:
    """Its lines are numbers of cells, as those of a YAML file are numbers of lines: the checks need not know."""

    brand: Brand
    actions: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[Location, int] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    faults: list[SheetFault] = field(default_factory=list)
    index_of: dict[str, int] = field(default_factory=dict)

    def stand(self, location: Location, cell: Cell, *, instead: bool = False) -> None:
        """Says in which cell a location stands; the first holds, unless this one comes instead of it."""
        if instead or location not in self.lines:
            self.places.append(_place(cell))
            self.lines[location] = len(self.places)

    def fault(self, cell: Cell, problem: str, rule: str, closest: str | None = None) -> None:
        """A cell that means nothing here."""
        place = _place(cell)
        self.faults.append(SheetFault(place, Fault(str(place), problem, rule, None, closest)))

    def placed(self, fault: Fault) -> SheetFault | None:
        """A fault of the checks at its cell; None where that cell could not be read at all, which is told already."""
        if fault.line is None:
            return SheetFault(None, fault)
        place = self.places[fault.line - 1]
        if any(told.place == place for told in self.faults):
            return None
        return SheetFault(place, Fault(f"{place}: {fault.where}", fault.problem, fault.rule, None, fault.closest))

    def value(self, cell: Cell, kind: Kind) -> object:
        """What a cell means, EMPTY where it says nothing, or nothing that can be read."""
        if cell.data_type in ("f", "e"):
            self.fault(cell, f"holds the formula or error {cell.value}.", "Write the value itself.")
            return EMPTY
        value = read(cell.value, kind, zone=ZoneInfo(self.brand.time_zone))
        if isinstance(value, WrongCell):
            self.fault(cell, value.problem, value.rule)
            return EMPTY
        return value

    def put(self, into: dict[str, Any], at: Location, column: Column, cells: dict[str, Cell]) -> None:
        """Takes the value of one column of a row over, where its cell has one."""
        if (cell := cells.get(column.header)) is None:
            return
        for length in range(1, len(column.path) + 1):
            self.stand((*at, *column.path[:length]), cell)
        if (value := self.value(cell, column.kind)) is not EMPTY:
            self.set(into, column.path, value, cell)

    def set(self, into: dict[str, Any], path: tuple[str, ...], value: object, cell: Cell) -> None:
        """Puts a value at a path, once."""
        for key in path[:-1]:
            into = into.setdefault(key, {})
        if path[-1] in into:
            self.fault(cell, "says again what stands in another row.", TWICE)
        into[path[-1]] = value

    def whose(self, cells: dict[str, Cell]) -> Location | None:
        """Where the action stands that a row of another sheet is of; None, with a fault, where there is none."""
        if (cell := cells.get(layout.ACTION)) is None:
            return None  # the column is missing, which is told
        name = self.value(cell, Kind.TEXT)
        if name in self.index_of:
            return (ROOT, self.index_of[str(name)])
        problem = "is empty." if name is EMPTY else f"names '{name}', which is no action."
        closest = closest_name(str(name), self.index_of)
        self.fault(cell, problem, f"It is the id of a row of {layout.ACTIONS}.", closest)
        return None

    def action(self, at: Location) -> dict[str, Any]:
        """The data of the action that stands there."""
        return self.actions[int(at[1])]


def _place(cell: Cell) -> Place:
    return Place(cell.parent.title, cell.coordinate)
