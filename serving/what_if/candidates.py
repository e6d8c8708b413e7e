"""The changed catalogue that is asked about: from a YAML file or a workbook, checked as if it were in use."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from features.brand import Brand
from features.catalogue import Action, Catalogue, load_catalogue
from features.faults import CallersMistake, InvalidFile
from features.versions import CheckedFiles, StillWorkspace
from features.workspace import Workspace

_EFFECTIVE = ("renderings", "templates", "incentive", "value", "goal", "slots", "kind")
"""Keys of an action that change what a customer gets: a log can only say what the action earned as it was."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different in the changed catalogue, by the ids of actions.

    Attributes:
        changed: by action, the keys that differ.
        remade: of those, the ones that a customer would notice.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    remade: tuple[str, ...]


def read_candidate(workspace: Workspace, brand: Brand, file: Path) -> CheckedFiles:
    """The changed catalogue beside the brand in use.

    Raises:
        CallersMistake: the file is not there, or is of no kind that is read.
        InvalidFile: it is wrong; with every fault.
    """
    if not file.is_file():
        raise CallersMistake(f"Asked about the catalogue '{file}', which is not there. Give a .yaml or an .xlsx file.")
    if file.suffix == ".xlsx":
        from features.sheets.reading import load_sheet

        catalogue = load_sheet(file, workspace, brand)
    elif file.suffix in (".yaml", ".yml"):
        catalogue = _from_yaml(workspace, brand, file)
    else:
        raise CallersMistake(
            f"Asked about the catalogue '{file}', which is neither .yaml nor .xlsx. Export one with "
            "'rapport catalogue export FILE.xlsx', or copy catalogue.yaml."
        )
    return CheckedFiles(brand, catalogue, workspace.brand_file.read_bytes(), file.read_bytes())


def changes_between(before: Catalogue, after: Catalogue) -> Changes:
    """What is different."""
    old = {action.id: action for action in before.actions}
    new = {action.id: action for action in after.actions}
    both = [(old[name], new[name]) for name in old if name in new]
    changed = {was.id: keys for was, now in both if (keys := _differing(was, now))}
    return Changes(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=changed,
        remade=tuple(name for name, keys in changed.items() if set(keys) & set(_EFFECTIVE)),
    )


def _differing(was: Action, now: Action) -> tuple[str, ...]:
    return tuple(key for key in Action.model_fields if getattr(was, key) != getattr(now, key))


def _from_yaml(workspace: Workspace, brand: Brand, file: Path) -> Catalogue:
    with tempfile.TemporaryDirectory(prefix="rapport-what-if-") as folder:
        still = StillWorkspace(workspace.root, Path(folder))
        still.brand_file.write_bytes(workspace.brand_file.read_bytes())
        still.catalogue_file.write_bytes(file.read_bytes())
        try:
            return load_catalogue(still, brand)
        except InvalidFile as wrong:
            raise InvalidFile(file, wrong.faults) from None
