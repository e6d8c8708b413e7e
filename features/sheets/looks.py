"""What a workbook looks like to the people who write in it: headers that stay, lists to choose from, what each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from features.brand import Brand
from features.catalogue import STAGES, Incentive
from features.contact_policy import Cap, Governs, Period
from features.sheets import layout

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

NOTES_BY = "Rapport"
_ROWS_WITH_LISTS = 2_000
_WIDTHS = {"id": 26, "action": 26, "part": 20, "when": 40, "expression": 40, "channels": 28, "placements": 28}
_WIDE, _NARROW = 46, 16

_ABOUT = (
    "This workbook is the brand's catalogue. Write in it, then: rapport catalogue import FILE.xlsx",
    "A row of Actions is one message or offer. Texts has what its readers see: a row a part, a column a locale.",
    "An empty cell means that the key is left out. Rows and columns may be added, moved and coloured as you like.",
    "Parts of an action, on Texts: " + ", ".join(layout.row_names()) + ". Numbers go on: reply 2, item 3 price.",
    "Texts are Jinja: {{ 500 | money }}, {{ day | date }}, {{ n | number }}, {{ need | label('skin_need') }}.",
    'Text that a cell could not show is written as json: and a quoted text, such as json:"" for an empty one.',
    "A fault changes nothing: the import then writes a copy of your file in which each wrong cell is red and says why.",
)


def dress(book: Workbook, *, brand: Brand) -> None:
    """Gives every sheet its widths, headers, notes and lists, and adds the page that explains them."""
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Font, PatternFill

    notes = {
        column.header: column.note for column in (*layout.ACTION_COLUMNS, *layout.SLOT_COLUMNS, *layout.CAP_COLUMNS)
    }
    for sheet in book.worksheets:
        sheet.freeze_panes = {layout.ACTIONS: "B2", layout.TEXTS: "C2"}.get(sheet.title, "B2")
        for cell in sheet[1]:
            header = str(cell.value)
            cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="EFE7DA")
            if note := notes.get(header):
                cell.comment = Comment(note, NOTES_BY, width=260, height=90)
            wide = sheet.title == layout.TEXTS and header not in _WIDTHS
            sheet.column_dimensions[cell.column_letter].width = _WIDTHS.get(header, _WIDE if wide else _NARROW)
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                cell.alignment = Alignment(wrap_text=sheet.title == layout.TEXTS, vertical="top")
                if not isinstance(cell.value, int | float):
                    cell.number_format = "@"  # text stays text: 1/2 is no date
        _lists(sheet, brand)
    about = book.create_sheet(layout.ABOUT)
    about.column_dimensions["A"].width = 130
    for number, text in enumerate(_ABOUT, start=1):
        cell = about.cell(number, 1, text)
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def _lists(sheet: Worksheet, brand: Brand) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    choices: dict[str, tuple[str, ...]] = {
        "kind": ("message", "offer", "question"),
        "stage": STAGES,
        "goal": tuple(brand.goals),
        "purpose": tuple(brand.purposes),
        "incentive kind": get_args(Incentive.model_fields["kind"].annotation),
        "budget every": get_args(Period),
        "calendar": get_args(Period),
        "counts": get_args(Cap.model_fields["counts"].annotation),
        "governs": get_args(Governs),
    }
    for cell in sheet[1]:
        listed = '"' + ",".join(choices.get(str(cell.value), ())) + '"'
        if 2 < len(listed) <= 255:  # Excel's limit of a list that is written out
            validation = DataValidation(type="list", formula1=listed, allow_blank=True, showErrorMessage=False)
            validation.add(f"{cell.column_letter}2:{cell.column_letter}{_ROWS_WITH_LISTS}")
            sheet.add_data_validation(validation)
