"""The lake's manifest: the one truth of which Parquet files are live.

`lake/events.json` is replaced atomically. A Parquet file that it does not name does not exist for any reader: that is
what makes a killed import harmless.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from features.faults import CallersMistake
from features.lake_changes import Step

FORMAT = 2


@dataclass(frozen=True, slots=True, order=True)
class LakeFile:
    """One live Parquet file of events."""

    path: str  # relative to the lake's folder
    bucket: int
    n_rows: int
    n_superseded: int
    first_us: int  # occurred_at of the earliest and of the latest row, microseconds since the epoch
    last_us: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Live files, and those that the last commit retired: readers of the manifest before may still hold them.

    `log_through` is the log_seq up to which the event log is in these files: it moves with them or not at all, so that
    no event is lost and none is there twice, whenever an export is killed. `commit` counts the commits since the lake
    of this `origin` began; `imported` and `logged` say what each added to the past (`features.lake_changes`).
    `changed` is the number of the newest commit that did more than export the log: while it stands, what the files held
    at an earlier commit since, and the log beyond the `log_through` of then, are what they hold now.
    """

    files: tuple[LakeFile, ...] = ()
    retired: tuple[str, ...] = ()
    log_through: int = 0
    origin: str = ""
    commit: int = 0
    imported: tuple[Step, ...] = ()
    logged: tuple[Step, ...] = ()
    changed: int = 0

    def fingerprint(self) -> str:
        """Sha256 over the live files' own sha256: the same for the same data, whatever the files are called."""
        text = "\n".join(sorted(file.sha256 for file in self.files))
        return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The manifest at that path; an empty one where there is none.

    Raises:
        CallersMistake: the file is not a manifest that this version writes.
    """
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Manifest()
    except ValueError as error:
        raise CallersMistake(
            f"Asked for the lake's manifest {path}, but it is not JSON ({error}). {_REMEDY}"
        ) from error
    if not isinstance(written, dict) or written.get("format") != FORMAT:
        raise CallersMistake(f"Asked for the lake's manifest {path}, but it is not of format {FORMAT}. {_REMEDY}")
    files = tuple(LakeFile(**entry) for entry in written["files"])
    imported, logged = (tuple(Step(*step) for step in written.get(name, [])) for name in ("imported", "logged"))
    return Manifest(
        files=files,
        retired=tuple(written["retired"]),
        log_through=written["log_through"],
        origin=written.get("origin", ""),
        commit=written.get("commit", 0),
        imported=imported,
        logged=logged,
        changed=written.get("changed", 0),
    )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replaces the manifest atomically: after this returns it is on disk, before it nothing has changed."""
    written = {
        "format": FORMAT,
        "files": [asdict(f) for f in sorted(manifest.files)],
        "retired": sorted(manifest.retired),
        "log_through": manifest.log_through,
        "origin": manifest.origin,
        "commit": manifest.commit,
        "imported": [[step.at, step.since_us] for step in manifest.imported],
        "logged": [[step.at, step.since_us] for step in manifest.logged],
        "changed": manifest.changed,
    }
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(written, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames and new names inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_REMEDY = "It is written by 'rapport import'; restore it from a backup, or delete lake/ and import again."
