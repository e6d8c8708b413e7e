"""`rapport catalogue import`: a workbook becomes catalogue.yaml, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from features.brand import load_brand
from features.catalogue import Catalogue
from features.faults import CallersMistake, InvalidFile
from features.machine_faults import told_of_system
from features.sheets.marking import write_marked_copy
from features.sheets.reading import open_workbook, read_sheet
from features.sheets.yaml_writing import WrittenCatalogue, catalogue_of, catalogue_text
from features.versions import keep_version, version_file
from features.workspace import Workspace


class FaultsInWorkbook(InvalidFile):
    """A workbook with faults; `copy` has each of them in its cell."""

    def __init__(self, path: Path, told: InvalidFile, copy: Path) -> None:
        super().__init__(path, told.faults)
        self.copy = copy
        self.args = (f"{told}\nNothing was written but '{copy}', in which these cells are red and say why.",)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What an import did, or would do.

    Attributes:
        written: the text of catalogue.yaml.
        changed: ids of actions, as `added`, `removed` and `as_before` are.
        differs: whether catalogue.yaml says anything else, if only in another order.
        kept: where the text of before is; None where nothing was written, or nothing was there.
    """

    written: WrittenCatalogue
    differs: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    as_before: tuple[str, ...]
    dry_run: bool
    kept: Path | None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.differs:
            yield f"catalogue.yaml says all of this already: {len(self.as_before)} actions. Nothing was written."
            return
        verb = "would be" if self.dry_run else "are"
        for name, ids in (("changed", self.changed), ("added", self.added), ("removed", self.removed)):
            if ids:
                yield f"{len(ids)} {verb} {name}: {', '.join(ids)}"
        yield f"{len(self.as_before)} as before"
        if lost := [each for each in self.written.anew if each not in self.added]:
            written = "Would be written" if self.dry_run else "Written"
            yield f"{written} anew, without comments inside: {', '.join(lost)}"
        if not self.dry_run:
            yield "catalogue.yaml is written" + (f"; what it said before is {self.kept}" if self.kept else "")


def take_over(workspace: Workspace, file: Path, *, dry_run: bool = False) -> TakenOver:
    """Writes what a workbook says into catalogue.yaml, whose text of before is kept.

    Args:
        workspace: whose catalogue.
        file: the workbook.
        dry_run: write nothing but, where there are faults, their copy.

    Raises:
        FaultsInWorkbook: it is wrong; nothing is written but a copy that marks every wrong cell.
        InvalidFile: brand.yaml is wrong.
        CallersMistake: the file is no workbook, or a file cannot be read or written.
    """
    brand = load_brand(workspace)
    book = open_workbook(file)
    told = read_sheet(book, file, workspace, brand)
    if told.catalogue is None or told.faults:
        copy = write_marked_copy(book, file, told.faults)
        raise FaultsInWorkbook(file, InvalidFile(file, [each.fault for each in told.faults]), copy)
    path = workspace.catalogue_file.resolve()
    before = _read(path)
    written = catalogue_text(told.catalogue, before=before)
    if catalogue_of(written.text) != told.catalogue:
        raise RuntimeError(f"What was to be written to {path} does not say what {file} says. Nothing was written.")
    kept = None
    if not dry_run and written.text != before:
        if before is not None:
            sha256 = keep_version(workspace, "catalogue", before.encode())
            kept = version_file(workspace, "catalogue", sha256)
        _write(path, written.text)
    return _compared(told.catalogue, before, written, dry_run=dry_run, kept=kept)


def _compared(
    now: Catalogue, text_before: str | None, written: WrittenCatalogue, *, dry_run: bool, kept: Path | None
) -> TakenOver:
    before = catalogue_of(text_before or "")
    was = {action.id: action for action in before.actions} if before is not None else {}
    ids = [action.id for action in now.actions]
    return TakenOver(
        written=written,
        differs=written.text != text_before,
        added=tuple(each for each in ids if each not in was),
        removed=tuple(each for each in was if each not in ids),
        changed=tuple(each.id for each in now.actions if each.id in was and was[each.id] != each),
        as_before=tuple(each.id for each in now.actions if was.get(each.id) == each),
        dry_run=dry_run,
        kept=kept,
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode() if path.exists() else None  # with its line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        raise CallersMistake(f"Asked to write '{path}', but what is there cannot be read: {error}.") from error


def _write(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        descriptor, draft = tempfile.mkstemp(prefix=".catalogue-", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except OSError as error:
        raise CallersMistake(f"Asked to write {told_of_system(error, name=str(path))}") from error
