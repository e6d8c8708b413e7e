"""A copy of a workbook in which every wrong cell is red and says why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.sheets import layout
from features.sheets.exporting import save
from features.sheets.rows import cells_of
from features.sheets.walking import SheetFault

if TYPE_CHECKING:
    from openpyxl import Workbook

MARKED_BY = "Rapport: fault"
RED = "FFF4B6B0"


def write_marked_copy(book: Workbook, file: Path, faults: Sequence[SheetFault]) -> Path:
    """Writes the copy beside the workbook, under a name that nothing has yet; gives its path."""
    _unmark(book)
    _mark(book, faults)
    _list(book, faults)
    copy = _free_name(file)
    save(book, copy)
    return copy


def _mark(book: Workbook, faults: Sequence[SheetFault]) -> None:
    from openpyxl.comments import Comment
    from openpyxl.styles import PatternFill

    told: dict[tuple[str, str], list[str]] = {}
    for each in faults:
        if each.place is not None:
            told.setdefault((each.place.sheet, each.place.coordinate), []).append(_words(each))
    for (sheet, coordinate), words in told.items():
        cell = book[sheet][coordinate]
        before = f"\n\n{cell.comment.text}" if cell.comment else ""
        cell.comment = Comment("\n\n".join(words) + before, MARKED_BY, width=380, height=160)
        cell.fill = PatternFill("solid", fgColor=RED)


def _unmark(book: Workbook) -> None:
    """Takes away what an earlier import marked in the copy that is imported now."""
    from openpyxl.styles import PatternFill

    for sheet in book.worksheets:
        for cell in cells_of(sheet):
            if cell.comment is not None and cell.comment.author == MARKED_BY:
                cell.comment = None
                cell.fill = PatternFill()
    if layout.FAULTS in book.sheetnames:
        del book[layout.FAULTS]


def _list(book: Workbook, faults: Sequence[SheetFault]) -> None:
    """Every fault on a sheet of its own, before all others, each leading to its cell."""
    from openpyxl.styles import Alignment, Font

    sheet = book.create_sheet(layout.FAULTS, 0)
    book.active = 0
    for position, (header, width) in enumerate((("cell", 18), ("what is wrong, and the rule", 120)), start=1):
        sheet.cell(1, position, header).font = Font(bold=True)
        sheet.column_dimensions["AB"[position - 1]].width = width
    for number, each in enumerate(faults, start=2):
        cell = sheet.cell(number, 1, str(each.place) if each.place else "")
        if each.place is not None:
            cell.hyperlink = f"#'{each.place.sheet}'!{each.place.coordinate}"
            cell.font = Font(color="FF0563C1", underline="single")
        words = sheet.cell(number, 2, _words(each) if each.place else str(each.fault))
        words.data_type = "s"
        words.alignment = Alignment(wrap_text=True, vertical="top")


def _words(told: SheetFault) -> str:
    fault = told.fault
    closest = f" Closest: '{fault.closest}'." if fault.closest else ""
    return " ".join(part for part in (fault.problem, fault.rule) if part) + closest


def _free_name(file: Path) -> Path:
    base = file.stem.partition(".faults")[0]
    for number in range(1, 10_000):
        name = f"{base}.faults.xlsx" if number == 1 else f"{base}.faults-{number}.xlsx"
        if not (copy := file.with_name(name)).exists():
            return copy
    raise FileExistsError(f"{base}.faults.xlsx and 9,998 more are there already; delete some.")
