"""What a snapshot was made from, and whether anything that it could have seen has changed since.

Design. A snapshot says how features were computed (`how`: schema, SQL, brand), and where it stood: the lake's commit,
the log's newest log_seq, the joins of customers before its as_of. It is outdated when it would be computed otherwise
now, or when something known before its as_of came beyond where it stood: an import that says when its events were
received, a correction, a late row of the log. Events that arrive after its as_of leave it as it is, and so does their
export from the log to the lake.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.brand import Brand
from features.database import connect
from features.event_log import LOG_SCHEMA, EventLog
from features.feature_sql import sql_fingerprint
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.lake_changes import earliest_since, known_at_us
from features.lake_manifest import Manifest
from features.log_batches import log_batches
from features.merges import Merge
from features.schema import FeatureSchema
from features.workspace import Workspace

FILE = "snapshot.parquet"
MADE_FROM = "made_from.json"


@dataclass(frozen=True)
class Standing:
    """All that features can be computed from now, and where that stands.

    Attributes:
        manifest: the lake's, read before the log: what a sync moves meanwhile is then seen at least once.
        log: the rows of the log that are not in the lake, with the columns of LOG_SCHEMA.
        log_seq: the newest of the log when it was read; every row up to it is in the lake or in `log`.
    """

    how: dict[str, object]
    manifest: Manifest
    log: pa.Table
    log_seq: int
    merges: tuple[Merge, ...]

    def made_from(self, as_of: datetime) -> dict[str, object]:
        """What is written beside a snapshot made now."""
        return self.how | {
            "origin": self.manifest.origin,
            "commit": self.manifest.commit,
            "log_seq": self.log_seq,
            "merges": merges_digest(self.merges, as_of),
        }

    def is_behind(self, said: dict[str, Any], as_of: datetime) -> bool:
        """Whether a snapshot lacks something known before its as_of, the rows of the log apart that the lake lacks."""
        if said.get("origin") != self.manifest.origin or said.get("commit", 0) > self.manifest.commit:
            return True  # of another lake, or of a later day of this one: a backup was restored
        if said.get("log_seq", 0) > self.log_seq:
            return True
        imported = earliest_since(self.manifest.imported, said["commit"])
        logged = earliest_since(self.manifest.logged, said["log_seq"])
        return any(since is not None and since < instant_us(as_of) for since in (imported, logged))

    def is_current(self, said: dict[str, Any], as_of: datetime) -> bool:
        """Whether a snapshot would be the same if it were made now."""
        if any(said.get(name) != value for name, value in self.how.items()):
            return False
        if said.get("merges") != merges_digest(self.merges, as_of) or self.is_behind(said, as_of):
            return False
        return not _holds_late(self.log, said["log_seq"], as_of)


def standing(workspace: Workspace, *, brand: Brand, schema: FeatureSchema) -> Standing:
    """Where lake, log and joins stand now."""
    how: dict[str, object] = {
        "schema": schema.version,
        "sql": sql_fingerprint(),
        "time_zone": brand.time_zone,
        "events": brand.events.model_dump(),
        "traits": {name: [trait.type, list(trait.choices), trait.purpose] for name, trait in brand.traits.items()},
    }
    manifest = Lake(workspace.lake).manifest()
    if not workspace.database.is_file():
        return Standing(how, manifest, LOG_SCHEMA.empty_table(), 0, ())
    with closing(connect(workspace.database)) as connection:
        log, log_seq = _unsynced(connection, manifest.log_through)
        return Standing(how, manifest, log, log_seq, tuple(IdentityTable(connection).merges()))


def event_log_table(workspace: Workspace) -> pa.Table:
    """What the workspace's event log holds beyond the lake, with the columns of LOG_SCHEMA.

    Call it before the lake is registered: what a sync moves in between is then seen twice, which readers undo by
    event_id, instead of not at all.
    """
    manifest = Lake(workspace.lake).manifest()
    if not workspace.database.is_file():
        return LOG_SCHEMA.empty_table()
    with closing(connect(workspace.database)) as connection:
        return _unsynced(connection, manifest.log_through)[0]


def _unsynced(connection: sqlite3.Connection, log_through: int) -> tuple[pa.Table, int]:
    newest = EventLog(connection).newest()
    tables = list(log_batches(connection, after=log_through, through=newest))
    return (pa.concat_tables(tables) if tables else LOG_SCHEMA.empty_table()), newest


def said_of(path: Path) -> dict[str, Any]:
    """What the snapshot at that Parquet file says it was made from; nothing where nobody can read it."""
    try:
        said = json.loads(path.with_name(MADE_FROM).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and {"commit", "log_seq", "schema"} <= set(said) else {}


def snapshots_folder(workspace: Workspace) -> Path:
    """Where all snapshots of a workspace lie."""
    return workspace.lake / "snapshots"


def drawn_folder(workspace: Workspace) -> Path:
    """Where the snapshots of some customers lie (`features.drawn`)."""
    return snapshots_folder(workspace) / "drawn"


def stored_snapshots(workspace: Workspace) -> Iterator[Path]:
    """The Parquet files of all snapshots of everyone that are whole, the earliest as_of first."""
    yield from _stored(snapshots_folder(workspace))


def stored_drawn(workspace: Workspace) -> Iterator[Path]:
    """Those of some customers."""
    yield from _stored(drawn_folder(workspace))


def _stored(folder: Path) -> Iterator[Path]:
    for beside in sorted(folder.glob(f"as_of=*/{MADE_FROM}")):
        yield beside.with_name(FILE)


def newest_snapshot(workspace: Workspace) -> Path | None:
    """The Parquet file of the whole snapshot with the latest as_of; None where there is none."""
    return max(stored_snapshots(workspace), default=None, key=lambda path: path.parent.name)


def as_of_of(path: Path) -> datetime:
    """The instant of the snapshot at that Parquet file."""
    text = path.parent.name.removeprefix("as_of=")
    return datetime.strptime(text, "%Y-%m-%dT%H-%M-%S.%f").replace(tzinfo=UTC)


def log_seqs_of_snapshots(workspace: Workspace) -> list[int]:
    """The log_seqs at which the stored snapshots stand."""
    stored = (*stored_snapshots(workspace), *stored_drawn(workspace))
    return sorted({said["log_seq"] for path in stored if (said := said_of(path))})


def merges_digest(merges: Sequence[Merge], as_of: datetime) -> str:
    """Tells one set of joins before an instant from another; empty where there are none."""
    before = [tuple(merge) for merge in merges if merge.merged_at_us < instant_us(as_of)]
    return hashlib.sha256(json.dumps(before).encode()).hexdigest()[:16] if before else ""


def _holds_late(log: pa.Table, log_seq: int, as_of: datetime) -> bool:
    """Whether the log has a row beyond that log_seq that was known before that instant."""
    if not log.num_rows or log["log_seq"][-1].as_py() <= log_seq:
        return False
    is_late = (log["log_seq"].to_numpy() > log_seq) & (known_at_us(log) < instant_us(as_of))
    return bool(is_late.any())
