"""Of which lake the files by customer are: `by_customer.json`, replaced atomically."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from features.lake_manifest import Manifest, sync_folder

FORMAT = 3
META = "by_customer.json"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket's file, and of what it was made."""

    made_from: str  # fingerprint of the lake's files of this bucket
    n_rows: int
    log_through: int  # the log_seq up to which the event log's rows of this bucket are in it
    name: str  # of the Arrow file; the index has the same name with .npy


@dataclass(frozen=True, slots=True)
class Meta:
    """Of which lake the files are."""

    origin: str
    commit: int  # when they were last looked at
    changed: int
    log_through: int  # the log_seq up to which the event log is in them
    buckets: dict[int, Bucket]

    def is_of(self, manifest: Manifest) -> bool:
        """Whether the lake has only taken in rows of the log since."""
        is_the_past = (self.origin, self.changed) == (manifest.origin, manifest.changed)
        return is_the_past and self.commit <= manifest.commit and self.log_through <= manifest.log_through


def read_meta(folder: Path) -> Meta | None:
    """What the files are of; None where nobody can read it: they are made anew then."""
    try:
        said = json.loads((folder / META).read_text("utf-8"))
        if said["format"] != FORMAT:
            return None
        buckets = {int(number): Bucket(**one) for number, one in said["buckets"].items()}
        return Meta(said["origin"], said["commit"], said["changed"], said["log_through"], buckets)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_meta(folder: Path, meta: Meta) -> None:
    """Replaces what the files are said to be of; after this returns it is on disk."""
    partial = folder / f".{META}.{os.getpid()}"
    partial.write_text(json.dumps({"format": FORMAT} | asdict(meta)), "utf-8")
    sync_file(partial)
    partial.replace(folder / META)
    sync_folder(folder)


def sync_file(path: Path) -> None:
    """Puts what was written to a file on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
