"""A catalogue as a workbook and back: any catalogue is the same afterwards, and a fault is told in its cell."""

from __future__ import annotations

import io
import types
from datetime import datetime
from pathlib import Path
from typing import Union, get_args, get_origin

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel
from typer.testing import CliRunner

from features.brand import Brand, load_brand
from features.catalogue import Action, Catalogue, Rendering, load_catalogue
from features.faults import CallersMistake, InvalidFile
from features.sheets import layout
from features.sheets.cells import CELL_LIMIT
from features.sheets.cli import catalogue as verb
from features.sheets.exporting import sheets_of, workbook_of, write_workbook
from features.sheets.reading import load_sheet, read_sheet
from features.sheets.taking_over import FaultsInWorkbook, take_over
from features.sheets.yaml_writing import catalogue_of, catalogue_text
from features.starting import write_starter
from features.versions import kept_catalogue, sha256_of
from features.workspace import Workspace
from tests.features.any_catalogue import catalogues


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Read only."""
    folder = tmp_path_factory.mktemp("sheets") / "shop"
    write_starter(folder)
    return Workspace(folder)


@pytest.fixture(scope="module")
def brand(shop: Workspace) -> Brand:
    return load_brand(shop)


@pytest.fixture
def own_shop(tmp_path: Path) -> Workspace:
    """To write into."""
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def through_a_file(catalogue: Catalogue, brand: Brand) -> openpyxl.Workbook:
    held = io.BytesIO()
    workbook_of(catalogue, brand).save(held)
    held.seek(0)
    return openpyxl.load_workbook(held)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(catalogue=catalogues)
def test_any_catalogue_is_the_same_after_a_workbook(catalogue: Catalogue, shop: Workspace, brand: Brand) -> None:
    told = read_sheet(through_a_file(catalogue, brand), Path("any.xlsx"), shop, brand)
    assert told.catalogue == catalogue


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(catalogue=catalogues, other=catalogues)
def test_any_catalogue_is_the_same_after_being_written_as_yaml(catalogue: Catalogue, other: Catalogue) -> None:
    first = catalogue_text(other, before=None).text
    assert catalogue_of(first) == other
    assert catalogue_of(catalogue_text(catalogue, before=first).text) == catalogue


def test_the_shipped_catalogue_is_the_same_and_without_fault(shop: Workspace, brand: Brand) -> None:
    catalogue = load_catalogue(shop, brand)
    told = read_sheet(through_a_file(catalogue, brand), Path("any.xlsx"), shop, brand)
    assert told.faults == ()
    assert told.catalogue == catalogue


def leaves(model: type[BaseModel]) -> set[str]:
    """Every key of a model that holds no other model."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = [each for each in flat(field.annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
        found |= {f"{name}.{leaf}" for each in inner for leaf in leaves(each)} or {name}
    return found


def flat(annotation: object) -> list[object]:
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType, tuple, dict) or hasattr(annotation, "__metadata__"):
        return [inner for each in arguments for inner in flat(each)]
    return [annotation]


def test_every_key_of_a_catalogue_has_its_place_in_the_workbook() -> None:
    held = {".".join(column.path) for column in layout.ACTION_COLUMNS}
    held |= {f"slots.{'.'.join(column.path)}" for column in layout.SLOT_COLUMNS}
    held |= {f"caps.{'.'.join(column.path)}" for column in layout.CAP_COLUMNS}
    held |= {".".join(path) for path in layout.ROW_NAMES.values()}
    for part, path in layout.NUMBERED.items():
        held |= {
            ".".join((*path, *([key or "text"] if part != "template parameter" else [])))
            for key in layout.KEYS_OF[part]
        }
    assert leaves(Action) == held


def test_a_locale_is_a_column(brand: Brand, shop: Workspace) -> None:
    texts = sheets_of(load_catalogue(shop, brand), locales=list(brand.locales))[layout.TEXTS]
    assert texts[0] == ["action", "part", "en", "hi", "th"]
    assert texts[1][:2] == ["welcome_hook", "hook"]
    assert all(texts[1][2:])


def test_a_text_longer_than_a_cell_is_refused_by_name_and_nothing_is_cut(brand: Brand) -> None:
    long = Action(
        id="long",
        kind="message",
        stage="loyalty",
        goal="order",
        channels=("email",),
        placements=("weekly_message",),
        value=1.0,
        expected_rate=0.1,
        renderings={"en": Rendering(body="x" * (CELL_LIMIT + 1))},
    )
    with pytest.raises(CallersMistake, match=r"long, body, en on sheet Texts has 32768 characters"):
        workbook_of(Catalogue(actions=(long,)), brand)


# -- the verbs --------------------------------------------------------------------------------------------------


def exported(shop: Workspace) -> Path:
    file = shop.root / "catalogue.xlsx"
    write_workbook(shop, file)
    return file


def edited(file: Path, **cells: object) -> Path:
    """The workbook with other cells: `Texts__C2='Hello'`."""
    book = openpyxl.load_workbook(file)
    for name, value in cells.items():
        sheet, coordinate = name.split("__")
        book[sheet][coordinate] = value
    book.save(file)
    return file


def cell_of(file: Path, action: str, part: str, locale: str) -> str:
    """Where Texts holds a part of an action."""
    sheet = openpyxl.load_workbook(file)["Texts"]
    column = next(cell.column_letter for cell in sheet[1] if cell.value == locale)
    return next(
        f"{column}{row[0].row}" for row in sheet.iter_rows(min_row=2) if (row[0].value, row[1].value) == (action, part)
    )


def test_importing_what_was_exported_changes_not_one_byte(own_shop: Workspace) -> None:
    before = own_shop.catalogue_file.read_bytes()
    told = take_over(own_shop, exported(own_shop))
    assert own_shop.catalogue_file.read_bytes() == before
    assert "Nothing was written" in str(told)


def test_a_changed_text_changes_its_action_and_keeps_the_lines_and_comments_of_the_others(own_shop: Workspace) -> None:
    before = own_shop.catalogue_file.read_text(encoding="utf-8")
    file = exported(own_shop)
    where = cell_of(file, "skin_quiz", "hook", "th")
    told = take_over(own_shop, edited(file, **{f"Texts__{where}": "วันนี้ผิวเป็นอย่างไรบ้างคะ"}))
    after = own_shop.catalogue_file.read_text(encoding="utf-8")
    assert told.changed == ("skin_quiz",)
    assert catalogue_of(after).action("skin_quiz").renderings["th"].hook == "วันนี้ผิวเป็นอย่างไรบ้างคะ"  # type: ignore[union-attr]
    begin, end = "  - id: skin_quiz", "  # What they told us, made useful."
    assert before.partition(begin)[0] == after.partition(begin)[0]
    assert before.partition(end)[1:] == after.partition(end)[1:]
    assert told.kept is not None
    assert told.kept.read_text(encoding="utf-8") == before
    assert kept_catalogue(own_shop, sha256_of(before.encode())) == catalogue_of(before)


def test_rows_may_be_added_taken_away_and_moved(own_shop: Workspace, brand: Brand) -> None:
    catalogue = load_catalogue(own_shop, brand)
    first, *others = catalogue.actions
    new = first.model_copy(update={"id": "welcome_again"})
    wanted = Catalogue(actions=(new, *(each for each in reversed(others) if each.id != "festival_offer"), first))
    file = own_shop.root / "moved.xlsx"
    workbook_of(wanted, brand).save(file)
    told = take_over(own_shop, file)
    assert load_catalogue(own_shop, brand) == wanted
    assert (told.added, told.removed, told.changed) == (("welcome_again",), ("festival_offer",), ())


def test_a_dry_run_says_what_would_change_and_writes_nothing(own_shop: Workspace) -> None:
    before = own_shop.catalogue_file.read_bytes()
    told = take_over(own_shop, edited(exported(own_shop), Actions__J2=44), dry_run=True)
    assert own_shop.catalogue_file.read_bytes() == before
    assert "1 would be changed: welcome_hook" in str(told)


def test_a_day_typed_into_a_sheet_begins_where_the_brand_is(own_shop: Workspace, brand: Brand) -> None:
    file = exported(own_shop)
    row = next(
        n for n, cell in enumerate(openpyxl.load_workbook(file)["Actions"]["A"], 1) if cell.value == "festival_offer"
    )
    take_over(own_shop, edited(file, **{f"Actions__G{row}": datetime(2026, 10, 30)}))  # noqa: DTZ001
    begins = load_catalogue(own_shop, brand).action("festival_offer").valid_from
    assert begins is not None
    assert begins.isoformat() == "2026-10-30T00:00:00+05:30"


FAULTS: dict[str, tuple[dict[str, object], str, str]] = {
    "a goal that does not exist": ({"Actions__D2": "ordr"}, "Actions!D2", "Closest: 'order'"),
    "a number that is none": ({"Actions__J3": "much"}, "Actions!J3", "valid number"),
    "a required cell left empty": ({"Actions__D3": None}, "Actions!D3", "required"),
    "a formula": ({"Actions__J2": "=40+1"}, "Actions!J2", "holds the formula"),
    "an id that stands twice": ({"Actions__A3": "welcome_hook"}, "Actions!A3", "An id stands once"),
    "an expression that names nothing": ({"Actions__I2": "n_order == 0.0"}, "Actions!I2", "Closest: 'n_orders'"),
    "a column that is none": ({"Actions__D1": "gaol"}, "Actions!D1", "Closest: 'goal'"),
    "a locale that is none": ({"Texts__D1": "hl"}, "Texts!D1", "no column"),
    "a part that is none": ({"Texts__B2": "hok"}, "Texts!B2", "Closest: 'hook'"),
    "an action that is none": ({"Texts__A2": "welcome_hok"}, "Texts!A2", "Closest: 'welcome_hook'"),
    "a slot that is none": ({"Texts__C3": "Hi {{ nam }}"}, "Texts!C3", "takes 'nam'"),
    "a text over a channel's limit": ({"Texts__C3": "x" * 700}, "Texts!C3", "cannot be said on web"),
}


def test_a_blank_far_away_costs_nothing_and_says_nothing(own_shop: Workspace) -> None:
    book = openpyxl.load_workbook(exported(own_shop))
    book["Actions"]["XFD1048576"] = " "
    file = own_shop.root / "far.xlsx"
    book.save(file)
    assert not take_over(own_shop, file).differs


def test_a_value_beyond_the_last_row_is_told_in_its_cell(own_shop: Workspace) -> None:
    book = openpyxl.load_workbook(exported(own_shop))
    book["Actions"]["XFD1048576"] = "lost"
    file = own_shop.root / "far.xlsx"
    book.save(file)
    with pytest.raises(FaultsInWorkbook, match=r"Actions!XFD1048576: stands in row 1,048,576"):
        take_over(own_shop, file)


@pytest.mark.parametrize(("cells", "place", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_in_its_cell_and_nothing_is_overwritten(
    own_shop: Workspace, cells: dict[str, object], place: str, words: str
) -> None:
    before = own_shop.catalogue_file.read_bytes()
    file = edited(exported(own_shop), **cells)
    source = file.read_bytes()
    with pytest.raises(FaultsInWorkbook) as wrong:
        take_over(own_shop, file)
    assert own_shop.catalogue_file.read_bytes() == before
    assert file.read_bytes() == source
    book = openpyxl.load_workbook(wrong.value.copy)
    sheet, coordinate = place.split("!")
    marked = book[sheet][coordinate]
    assert words in marked.comment.text
    assert marked.fill.fgColor.rgb == "FFF4B6B0"
    assert place in [row[0].value for row in book["Faults"].iter_rows(min_row=2)]


def test_only_wrong_cells_are_marked(own_shop: Workspace) -> None:
    with pytest.raises(FaultsInWorkbook) as wrong:
        take_over(own_shop, edited(exported(own_shop), Actions__D2="ordr", Texts__C3="Hi {{ nam }}"))
    book = openpyxl.load_workbook(wrong.value.copy)
    red = {
        f"{sheet.title}!{cell.coordinate}"
        for sheet in book
        for row in sheet.iter_rows()
        for cell in row
        if cell.fill.fgColor.rgb == "FFF4B6B0"
    }
    assert red == {"Actions!D2", "Texts!C3"}


def test_a_marked_copy_that_was_mended_is_imported_and_its_marks_do_not_come_back(own_shop: Workspace) -> None:
    with pytest.raises(FaultsInWorkbook) as wrong:
        take_over(own_shop, edited(exported(own_shop), Actions__D2="ordr", Actions__J3="much"))
    with pytest.raises(FaultsInWorkbook) as still:
        take_over(own_shop, edited(wrong.value.copy, Actions__D2="subscribe"))
    assert still.value.copy != wrong.value.copy
    again = openpyxl.load_workbook(still.value.copy)["Actions"]
    assert again["D2"].comment is None
    assert again["D2"].fill.fgColor.rgb != "FFF4B6B0"
    take_over(own_shop, edited(still.value.copy, Actions__J3=480))


def test_a_baseline_of_the_brand_cannot_be_taken_out(own_shop: Workspace) -> None:
    file = exported(own_shop)
    book = openpyxl.load_workbook(file)
    for name, column in (("Actions", 0), ("Texts", 0)):
        sheet = book[name]
        for row in reversed(list(sheet.iter_rows(min_row=2))):
            if row[column].value == "chat_help":
                sheet.delete_rows(row[0].row)
    book.save(file)
    with pytest.raises(FaultsInWorkbook, match=r"brand.yaml, line \d+: placements.chat_reply.*chat_help"):
        take_over(own_shop, file)


def test_what_is_no_workbook_is_said_to_be_none(own_shop: Workspace, tmp_path: Path, brand: Brand) -> None:
    for content in (b"", b"id,kind", b"PK\x03\x04"):
        file = tmp_path / "not.xlsx"
        file.write_bytes(content)
        with pytest.raises(CallersMistake, match="which is no workbook"):
            load_sheet(file, own_shop, brand)
    with pytest.raises(CallersMistake, match=r"there is no such file or folder\. Look at the name"):
        load_sheet(tmp_path / "away.xlsx", own_shop, brand)


def test_a_workbook_without_its_sheets_says_which(own_shop: Workspace, tmp_path: Path, brand: Brand) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Action"
    book.save(tmp_path / "other.xlsx")
    with pytest.raises(InvalidFile, match=r"has no sheet 'Actions'.*Closest: 'Action'"):
        load_sheet(tmp_path / "other.xlsx", own_shop, brand)


def test_on_the_command_line_export_import_and_a_second_export_that_refuses_to_overwrite(own_shop: Workspace) -> None:
    run, where = CliRunner(), ["--workspace", str(own_shop.root)]
    file = str(own_shop.root / "c.xlsx")
    assert "11 actions in en, hi, th" in run.invoke(verb, ["export", file, *where], catch_exceptions=False).output
    assert "Nothing was written" in run.invoke(verb, ["import", file, *where], catch_exceptions=False).output
    again = run.invoke(verb, ["export", file, *where])
    assert isinstance(again.exception, CallersMistake)
    assert "--overwrite" in str(again.exception)
    assert run.invoke(verb, ["export", file, "--overwrite", *where]).exit_code == 0
