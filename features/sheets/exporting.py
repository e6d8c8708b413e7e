"""catalogue.yaml as a workbook: every key of every action, losslessly."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from features.brand import Brand, load_brand
from features.catalogue import Action, Catalogue, Rendering, load_catalogue
from features.faults import CallersMistake
from features.machine_faults import told_of_system
from features.sheets import layout
from features.sheets.cells import CELL_LIMIT, too_long, written
from features.sheets.layout import Column, Kind
from features.workspace import Workspace

if TYPE_CHECKING:
    from openpyxl import Workbook

REPLIES_OFFERED = 3  # rows for suggested replies that every action has, to be filled in or left empty
_ALWAYS = ("hook", "body", "media url", "media alt", "link url", "link label")

SheetRow = list[str | int | float | None]


def write_workbook(workspace: Workspace, file: Path, *, overwrite: bool = False) -> str:
    """Writes the workspace's catalogue; gives what was written, in words.

    Raises:
        CallersMistake: the file is there already, cannot be written, or cannot hold the catalogue.
        InvalidFile: catalogue.yaml is wrong.
    """
    if file.suffix.lower() != ".xlsx":
        raise CallersMistake(f"Asked to write '{file}', but a workbook's name ends in .xlsx.")
    if file.exists() and not overwrite:
        raise CallersMistake(f"Asked to write '{file}', which is there already. Name another, or say --overwrite.")
    brand = load_brand(workspace)
    catalogue = load_catalogue(workspace, brand)
    save(workbook_of(catalogue, brand), file)
    return f"{len(catalogue.actions)} actions in {', '.join(brand.locales)}"


def save(book: Workbook, file: Path) -> None:
    """Writes a workbook whole or not at all.

    Raises:
        CallersMistake: the file cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".xlsx", delete=False) as draft:
            book.save(draft)
        os.chmod(draft.name, 0o644)  # noqa: PTH101 (a draft is made for its owner alone)
        Path(draft.name).replace(file)
    except OSError as error:
        raise CallersMistake(f"Asked to write {told_of_system(error, name=str(file))}") from error


def workbook_of(catalogue: Catalogue, brand: Brand) -> Workbook:
    """The workbook of a catalogue, with a column for each of the brand's locales.

    Raises:
        CallersMistake: a text is longer than a cell can be.
    """
    from openpyxl import Workbook

    from features.sheets.looks import dress

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets_of(catalogue, locales=list(brand.locales)).items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, start=1):
            for position, value in enumerate(row, start=1):
                if value is None:
                    continue
                _refuse_too_long(value, name, row, header=rows[0][position - 1])
                cell = sheet.cell(number, position, value)
                if isinstance(value, str):
                    cell.data_type = "s"  # also where it begins with = or is called #N/A
    dress(book, brand=brand)
    return book


def sheets_of(catalogue: Catalogue, *, locales: Sequence[str]) -> dict[str, list[SheetRow]]:
    """What each sheet's cells hold, the headers first."""
    locales = list(dict.fromkeys((*locales, *(each for action in catalogue.actions for each in _locales(action)))))
    with_action = [layout.ACTION]
    slots = [*with_action, layout.SLOT, *(column.header for column in layout.SLOT_COLUMNS)]
    caps = [*with_action, *(column.header for column in layout.CAP_COLUMNS)]
    return {
        layout.ACTIONS: [[column.header for column in layout.ACTION_COLUMNS], *map(_action_row, catalogue.actions)],
        layout.TEXTS: [
            [*with_action, layout.PART, *locales],
            *(row for action in catalogue.actions for row in _text_rows(action, locales)),
        ],
        layout.SLOTS: [
            [*slots],
            *(
                [action.id, name, *_cells(slot, layout.SLOT_COLUMNS)]
                for action in catalogue.actions
                for name, slot in action.slots.items()
            ),
        ],
        layout.CAPS: [
            [*caps],
            *([action.id, *_cells(cap, layout.CAP_COLUMNS)] for action in catalogue.actions for cap in action.caps),
        ],
    }


def _locales(action: Action) -> Iterator[str]:
    yield from action.renderings
    yield from action.templates


def _action_row(action: Action) -> SheetRow:
    return _cells(action, layout.ACTION_COLUMNS)


def _cells(part: BaseModel, columns: Iterable[Column]) -> SheetRow:
    """The cells of a part; those of a key that was left out, or says what is meant without it, are empty."""
    return [_cell(part, column) for column in columns]


def _cell(part: BaseModel, column: Column) -> str | int | float | None:
    here: Any = part
    for key in column.path:
        if here is None:
            return None
        default = type(here).model_fields[key].default
        here = getattr(here, key)
        if here == default or here == ():
            return None
    return None if here is None else written(here, column.kind)


def _text_rows(action: Action, locales: Sequence[str]) -> Iterator[SheetRow]:
    said = {locale: dict(_texts_of(action, locale)) for locale in locales}
    offered = [*_ALWAYS, *(f"reply {number}" for number in range(1, REPLIES_OFFERED + 1))]
    for part in sorted({*offered, *(name for texts in said.values() for name in texts)}, key=_order):
        yield [action.id, part, *(said[locale].get(part) for locale in locales)]


def _order(part: str) -> tuple[int, int, int]:
    """Where a part stands among those of its action."""
    if part in layout.ROW_NAMES:
        return list(layout.ROW_NAMES).index(part) + (100 if part.startswith("template") else 0), 0, 0
    row = layout.row_of(part)
    family = next(name for name in layout.NUMBERED if part.startswith(name))
    keys = list(layout.KEYS_OF[family])
    number = row.number or 0 if row else 0
    return (
        (200 if family.startswith("template") else 50 + list(layout.NUMBERED).index(family)),
        number,
        (keys.index(row.key) if row else 0),
    )


def _texts_of(action: Action, locale: str) -> Iterator[tuple[str, str | int | float]]:
    """The rows of one locale: part and cell."""
    parts = {"renderings": action.renderings.get(locale), "templates": action.templates.get(locale)}
    for name, (root, *path) in layout.ROW_NAMES.items():
        if (part := parts[root]) is not None and (
            cell := _cell(part, Column(name, tuple(path), Kind.TEXT))
        ) is not None:
            yield name, cell
    if (rendering := action.renderings.get(locale)) is not None:
        yield from _numbered_of(rendering)
    if (template := action.templates.get(locale)) is not None:
        for number, parameter in enumerate(template.parameters, start=1):
            yield f"template parameter {number}", written(parameter, Kind.TEXT)


def _numbered_of(rendering: Rendering) -> Iterator[tuple[str, str | int | float]]:
    for number, reply in enumerate(rendering.suggested_replies, start=1):
        if isinstance(reply, str):
            yield f"reply {number}", written(reply, Kind.TEXT)
            continue
        said = reply.model_dump(exclude_defaults=True)
        if set(said) == {"text"}:
            yield f"reply {number}", written(said, Kind.TEXT)
            continue
        yield from _keyed(f"reply {number}", said, layout.KEYS_OF["reply"])
    for number, item in enumerate(rendering.items, start=1):
        yield from _keyed(f"item {number}", item.model_dump(exclude_defaults=True), layout.KEYS_OF["item"])


def _keyed(part: str, said: Mapping[str, object], keys: Mapping[str, Kind]) -> Iterator[tuple[str, str | int | float]]:
    for name, kind in keys.items():
        if (key := name or "text") in said:
            yield f"{part} {name}".strip(), written(said[key], kind)


def _refuse_too_long(value: object, sheet: str, row: SheetRow, *, header: object) -> None:
    if too_long(value):
        raise CallersMistake(
            f"Asked for a workbook, but {row[0]}, {row[1]}, {header} on sheet {sheet} has {len(str(value))} "
            f"characters; a cell holds {CELL_LIMIT}. Keep this catalogue in catalogue.yaml, or make the text shorter."
        )
