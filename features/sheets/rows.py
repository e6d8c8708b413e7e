"""The rows of each sheet, taken into a walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from features.faults import closest_name
from features.sheets import layout
from features.sheets.layout import Kind
from features.sheets.walking import ROOT, Walk
from features.yaml_file import Location

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

Cells = dict[str, "Cell"]
LAST_ROW = 100_000


def read_actions(walk: Walk, sheet: Worksheet) -> None:
    """Every row of Actions is an action, in their order."""
    for cells in rows_of(walk, sheet):
        at: Location = (ROOT, len(walk.actions))
        action: dict[str, Any] = {}
        walk.actions.append(action)
        walk.stand(at, cells.get("id") or next(iter(cells.values())))
        for column in layout.ACTION_COLUMNS:
            walk.put(action, at, column, cells)
        if isinstance(name := action.get("id"), str):
            walk.index_of.setdefault(name, len(walk.actions) - 1)


def read_slots(walk: Walk, sheet: Worksheet) -> None:
    """Every row of Slots is a slot of its action."""
    for cells in rows_of(walk, sheet):
        if (at := walk.whose(cells)) is None or (named := cells.get(layout.SLOT)) is None:
            continue
        name = walk.value(named, Kind.TEXT)
        if not isinstance(name, str):
            walk.fault(named, "is empty.", "A slot has the name under which texts take it.")
            continue
        slots = walk.action(at).setdefault("slots", {})
        if name in slots:
            walk.fault(named, f"names '{name}' again.", "A slot of an action has one row.")
            continue
        slots[name] = {}
        location = (*at, "slots", name)
        for known in (location[:-1], location):
            walk.stand(known, named)
        for column in layout.SLOT_COLUMNS:
            walk.put(slots[name], location, column, cells)


def read_caps(walk: Walk, sheet: Worksheet) -> None:
    """Every row of Caps is a cap of its action, in their order."""
    for cells in rows_of(walk, sheet):
        if (at := walk.whose(cells)) is None:
            continue
        caps = walk.action(at).setdefault("caps", [])
        location = (*at, "caps", len(caps))
        for known in (location[:-1], location):
            walk.stand(known, cells[layout.ACTION])
        caps.append({})
        for column in layout.CAP_COLUMNS:
            walk.put(caps[-1], location, column, cells)


def rows_of(walk: Walk, sheet: Worksheet) -> Iterator[Cells]:
    """Every row that says anything, as header → cell; columns of other headers are a fault of their header."""
    rows: dict[int, list[Cell]] = {}
    for cell in cells_of(sheet):
        rows.setdefault(cell.row, []).append(cell)
    headers = _headers(walk, sheet, rows.pop(1, []))
    for number in sorted(rows):
        if number > LAST_ROW:
            filled = next((cell for cell in rows[number] if not _is_blank(cell)), None)
            if filled is not None:
                walk.fault(filled, f"stands in row {number:,}.", f"A sheet has {LAST_ROW:,} rows at most: delete it.")
                return
            continue
        if any(not _is_blank(cell) for cell in rows[number] if cell.column in headers):
            yield {header: sheet.cell(number, column) for column, header in headers.items()}


def cells_of(sheet: Worksheet) -> list[Cell]:
    """The cells that the file holds, row by row: one far cell must not cost all those before it.

    openpyxl's own walks make every cell of the rectangle up to the last one; its sparse store has no public name.
    """
    held: dict[tuple[int, int], Cell] = sheet._cells
    return [held[place] for place in sorted(held)]


def _headers(walk: Walk, sheet: Worksheet, first: Iterable[Cell]) -> dict[int, str]:
    """Column → header, of those that there may be."""
    needed, others = _columns(sheet.title, walk)
    known = [*needed, *others]
    found: dict[int, str] = {}
    for cell in first:
        if _is_blank(cell):
            continue
        header = str(cell.value).strip()
        if header not in known:
            rule = f"The columns of {sheet.title} are: {', '.join(known)}."
            walk.fault(cell, f"names '{header}', which is no column.", rule, closest_name(header, known))
        elif header in found.values():
            walk.fault(cell, f"names '{header}' again.", "A column stands once.")
        else:
            found[cell.column] = header
    for header in needed:
        if header not in found.values():
            walk.fault(sheet.cell(1, 1), f"has no column '{header}' beside it.", "Its header stands in the first row.")
    return found


def _columns(sheet: str, walk: Walk) -> tuple[list[str], list[str]]:
    """The headers that a sheet needs, and those that it may have too."""
    if sheet == layout.ACTIONS:
        return ["id"], [column.header for column in layout.ACTION_COLUMNS if column.header != "id"]
    if sheet == layout.TEXTS:
        return [layout.ACTION, layout.PART], list(walk.brand.locales)
    if sheet == layout.SLOTS:
        return [layout.ACTION, layout.SLOT], [column.header for column in layout.SLOT_COLUMNS]
    return [layout.ACTION], [column.header for column in layout.CAP_COLUMNS]


def _is_blank(cell: Cell) -> bool:
    return cell.value is None or not str(cell.value).strip()
