"""A workbook as a catalogue, checked beside its brand by the same rules as catalogue.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from features.brand import Brand
from features.catalogue import Catalogue
from features.catalogue_checks import check_catalogue
from features.faults import CallersMistake, Fault, InvalidFile, closest_name
from features.machine_faults import told_of_system
from features.sheets import layout
from features.sheets.rows import read_actions, read_caps, read_slots
from features.sheets.text_rows import read_texts
from features.sheets.walking import ROOT, SheetFault, Walk
from features.workspace import Workspace
from features.yaml_file import YamlFile

if TYPE_CHECKING:
    from openpyxl import Workbook

_READERS = {
    layout.ACTIONS: read_actions,
    layout.TEXTS: read_texts,
    layout.SLOTS: read_slots,
    layout.CAPS: read_caps,
}
_NEEDED = (layout.ACTIONS, layout.TEXTS)


@dataclass(frozen=True, slots=True)
class SheetCatalogue:
    """What a workbook says: a catalogue, or None, and every fault.

    Attributes:
        catalogue: its actions, in the order of their rows.
        actions: the same as plain data, as catalogue.yaml would hold it.
        faults: in the order of the sheets.
    """

    catalogue: Catalogue | None
    actions: list[dict[str, Any]]
    faults: tuple[SheetFault, ...]


def load_sheet(file: Path, workspace: Workspace, brand: Brand) -> Catalogue:
    """The catalogue of a workbook, checked beside the brand as catalogue.yaml is.

    Raises:
        InvalidFile: with every fault and its cell.
        CallersMistake: the file cannot be read, or is no workbook.
    """
    told = read_sheet(open_workbook(file), file, workspace, brand)
    if told.catalogue is None or told.faults:
        raise InvalidFile(file, [each.fault for each in told.faults])
    return told.catalogue


def open_workbook(file: Path) -> Workbook:
    """The workbook in a file.

    Raises:
        CallersMistake: the file cannot be read, or is no workbook.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        return load_workbook(file)
    except OSError as error:
        raise CallersMistake(f"Asked to read {told_of_system(error, name=str(file))}") from error
    except (BadZipFile, InvalidFileException, KeyError, ValueError, TypeError, SyntaxError) as error:
        wanted = "Save it as .xlsx, as 'rapport catalogue export' does."
        raise CallersMistake(f"Asked to read '{file}', which is no workbook: {error}. {wanted}") from error


def read_sheet(book: Workbook, file: Path, workspace: Workspace, brand: Brand) -> SheetCatalogue:
    """What a workbook says.

    Args:
        book: opened.
        file: whence, for messages.
        workspace: whose features expressions may name.
        brand: what it is checked against.
    """
    walk = Walk(brand)
    missing = [_missing(name, book.sheetnames) for name in _NEEDED if name not in book.sheetnames]
    for name, read in _READERS.items():
        if name in book.sheetnames:
            read(walk, book[name])
    catalogue, faults = check_catalogue(YamlFile(file, {ROOT: walk.actions}, walk.lines), workspace, brand)
    placed = [told for fault in faults if (told := walk.placed(fault)) is not None]
    return SheetCatalogue(catalogue, walk.actions, (*missing, *walk.faults, *placed))


def _missing(name: str, names: list[str]) -> SheetFault:
    rule = f"The sheets are: {', '.join(_READERS)}."
    return SheetFault(None, Fault("the workbook", f"has no sheet '{name}'.", rule, None, closest_name(name, names)))
