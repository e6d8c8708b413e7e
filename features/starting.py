"""The commented starting point of a workspace."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from features.faults import CallersMistake


def write_starter(directory: Path) -> list[Path]:
    """Writes the shipped brand into a folder; gives the files written.

    Raises:
        CallersMistake: one of them is there already, or the folder cannot be written; nothing is written then.
    """
    texts = {directory / name: source for name, source in _shipped(files("features") / "starter", Path())}
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise CallersMistake(
            f"Asked for a new workspace in '{directory}', but there is {', '.join(there)} already. "
            "'rapport init' overwrites nothing: name another folder, or move these away."
        )
    try:
        for path, source in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
    except OSError as error:
        raise CallersMistake(f"Asked for a new workspace in '{directory}', but {error}.") from error
    return list(texts)


def _shipped(folder: Traversable, inside: Path) -> list[tuple[Path, Traversable]]:
    found: list[tuple[Path, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            found += _shipped(entry, inside / entry.name)
        elif entry.name.endswith((".yaml", ".sql")):
            found.append((inside / entry.name, entry))
    return found
