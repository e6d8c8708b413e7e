"""Every version of brand.yaml and catalogue.yaml that decisions were made with, kept by the sha256 of its bytes.

A version is a file of its own in `state/versions/`, written once and never changed, so that a decision of last year can
be replayed with the words and rules of last year. `CheckedFiles` reads both files once: what was checked, what is named
in decisions and what is kept are the same bytes, also while somebody is writing to them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import BaseModel

from features.brand import Brand, load_brand
from features.catalogue import Catalogue, load_catalogue
from features.faults import CallersMistake, InvalidFile
from features.machine_faults import said_of_system
from features.validation import validate
from features.workspace import Workspace
from features.yaml_file import read_yaml

Kind = Literal["brand", "catalogue"]
BrandFile = tuple[Brand, bytes]
Model = TypeVar("Model", bound=BaseModel)

KINDS: tuple[Kind, ...] = get_args(Kind)
_IN_USE = "in-use.json"


class VersionNotKeptError(CallersMistake):
    """Nothing is kept under that sha256, or what is kept has other bytes."""


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """A brand and its catalogue as they were read, checked against each other, with the bytes that say so."""

    brand: Brand
    catalogue: Catalogue
    brand_bytes: bytes
    catalogue_bytes: bytes

    @property
    def versions(self) -> dict[str, str]:
        """`brand` and `catalogue` → the sha256 of each file."""
        return {"brand": sha256_of(self.brand_bytes), "catalogue": sha256_of(self.catalogue_bytes)}

    def keep(self, workspace: Workspace) -> None:
        """Puts both where `kept_brand` and `kept_catalogue` find them, as what is in use now."""
        keep_version(workspace, "brand", self.brand_bytes)
        keep_version(workspace, "catalogue", self.catalogue_bytes)
        note_in_use(workspace, self.versions)


def note_in_use(workspace: Workspace, versions: dict[str, str]) -> None:
    """Says which kept versions were last taken into use, for whoever finds a broken file on disk."""
    _write(workspace.versions / _IN_USE, json.dumps(versions, sort_keys=True).encode())


def last_good(workspace: Workspace) -> CheckedFiles | None:
    """The files that were last in use and sound; None where nothing was ever taken into use."""
    try:
        versions = json.loads((workspace.versions / _IN_USE).read_bytes())
        contents = {kind: version_file(workspace, kind, versions[kind]).read_bytes() for kind in KINDS}
        return CheckedFiles(
            kept_brand(workspace, versions["brand"]),
            kept_catalogue(workspace, versions["catalogue"]),
            contents["brand"],
            contents["catalogue"],
        )
    except (OSError, ValueError, KeyError, TypeError):  # never kept, or by another Rapport
        return None


def sound_files(workspace: Workspace) -> tuple[CheckedFiles, InvalidFile | None]:
    """The files as they are; where one is broken those that were last in use, with what is wrong.

    Raises:
        InvalidFile: one is broken, and nothing was in use before.
        CallersMistake: one cannot be read, and nothing was in use before.
    """
    try:
        return read_checked(workspace), None
    except InvalidFile as wrong:
        if (kept := last_good(workspace)) is None:
            raise
        return kept, wrong


def sha256_of(content: bytes) -> str:
    """The name of a version."""
    return hashlib.sha256(content).hexdigest()


def version_file(workspace: Workspace, kind: Kind, sha256: str) -> Path:
    """Where a version is kept, if it is."""
    return workspace.versions / f"{kind}-{sha256}.yaml"


def keep_version(workspace: Workspace, kind: Kind, content: bytes) -> str:
    """Keeps one version of a file, on disk when this returns; gives its sha256.

    It is written beside its place and moved there, so that whoever reads finds the whole file or none.
    """
    sha256 = sha256_of(content)
    path = version_file(workspace, kind, sha256)
    if not path.is_file():
        _write(path, content)
    return sha256


def kept_brand(workspace: Workspace, sha256: str) -> Brand:
    """The brand of a kept version.

    Raises:
        VersionNotKeptError: there is none of that sha256.
        InvalidFile: it was written for another Rapport, which read other keys.
    """
    return _kept(workspace, "brand", sha256, Brand)


def kept_catalogue(workspace: Workspace, sha256: str) -> Catalogue:
    """The catalogue of a kept version; its rules were checked when it came into use.

    Raises:
        VersionNotKeptError: there is none of that sha256.
        InvalidFile: it was written for another Rapport, which read other keys.
    """
    return _kept(workspace, "catalogue", sha256, Catalogue)


def checked_brand(workspace: Workspace) -> BrandFile:
    """The brand with the bytes that say it.

    Raises:
        InvalidFile: brand.yaml is wrong; with every fault.
        CallersMistake: it cannot be read.
    """
    content = _read(workspace.brand_file)
    with _standing_still(workspace, content) as still:
        return load_brand(still), content


def read_checked(workspace: Workspace, *, brand: BrandFile | None = None) -> CheckedFiles:
    """Both files of a workspace, each read once, checked as `rapport check` checks them.

    Args:
        workspace: whose files.
        brand: what to check the catalogue against; else what is in brand.yaml.

    Raises:
        InvalidFile: one of them is wrong; with every fault.
        CallersMistake: one of them cannot be read.
    """
    known, brand_bytes = brand or checked_brand(workspace)
    catalogue_bytes = _read(workspace.catalogue_file)
    with _standing_still(workspace, brand_bytes, catalogue_bytes) as still:
        catalogue = load_catalogue(still, known)
        return CheckedFiles(known, catalogue, brand_bytes, catalogue_bytes)


@dataclass(frozen=True, slots=True)
class StillWorkspace(Workspace):
    """A workspace whose brand.yaml and catalogue.yaml are those of another folder; all else is its own."""

    files: Path

    @property
    def brand_file(self) -> Path:
        """The copy."""
        return self.files / "brand.yaml"

    @property
    def catalogue_file(self) -> Path:
        """The copy."""
        return self.files / "catalogue.yaml"


@contextmanager
def _standing_still(workspace: Workspace, brand: bytes, catalogue: bytes = b"") -> Iterator[Workspace]:
    """A workspace of these bytes; what is wrong with them is told of the files that they are of."""
    folder = Path(tempfile.mkdtemp(prefix="rapport-checking-"))
    still = StillWorkspace(workspace.root, folder)
    try:
        still.brand_file.write_bytes(brand)
        still.catalogue_file.write_bytes(catalogue)
        yield still
    except InvalidFile as wrong:
        meant = {still.brand_file: workspace.brand_file, still.catalogue_file: workspace.catalogue_file}
        raise InvalidFile(meant.get(wrong.path, wrong.path), wrong.faults) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(workspace: Workspace, kind: Kind, sha256: str, model: type[Model]) -> Model:
    path = version_file(workspace, kind, sha256)
    if not path.is_file() or sha256_of(path.read_bytes()) != sha256:
        problem = "has other bytes than its name says" if path.is_file() else "is not kept"
        raise VersionNotKeptError(
            f"Asked for the {kind}.yaml of version {sha256}, which {problem} in {path.parent}. A version is kept when "
            "a server first decides with it; restore that folder from a backup."
        )
    read, faults = validate(read_yaml(path), model)
    if read is None:
        raise InvalidFile(path, faults)
    return read


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix="draft-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallersMistake(
            f"Asked to read '{path}', but {said_of_system(error)}. It is written by 'rapport init'."
        ) from error
