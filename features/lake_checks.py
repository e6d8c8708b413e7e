"""What `rapport check` looks at in the lake: each check by name, with what its finding means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from features.checks import CheckResult
from features.contract import EVENT_SCHEMA
from features.database import connect_to_read
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.lake import Lake, quoted
from features.lake_manifest import Manifest, sha256_of
from features.lake_writer import limited_connection
from features.workspace import Workspace

_REPAIR = "Restore lake/ from a backup, or delete it and import again."
_READABLE = "the lake's manifest can be read"
_IN_PLACE = "every live file of the lake is there, as it was written"


def lake_checks(workspace: Workspace) -> list[CheckResult]:
    """Every check of the lake; an empty one passes with a word on what to do."""
    lake = Lake(workspace.lake)
    try:
        manifest = lake.manifest()
    except CallersMistake as error:
        return [CheckResult(_READABLE, "FAIL", "Nothing can be read from the lake.", str(error))]
    if not manifest.files:
        meaning = "There are no events yet: import a shop's export with 'rapport import'. Decisions explore until then."
        return [CheckResult(_READABLE, "PASS", meaning, "no events"), *_quarantine(lake)]
    results = [CheckResult(_READABLE, "PASS", "It names every file that counts.", _inventory(lake, manifest))]
    in_place = _files(lake, manifest)
    results.append(in_place)
    if in_place.status == "FAIL":
        return results
    with TemporaryDirectory() as spill, limited_connection(None, spill=Path(spill)) as connection:
        lake.register_versions(connection)
        results += [_columns(connection), *_rows(connection)]
        results.append(_identities(connection, workspace))
    return [*results, *_quarantine(lake), *_leftovers(lake, manifest)]


def _inventory(lake: Lake, manifest: Manifest) -> str:
    span = lake.span()
    when = "" if span is None else f", {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}"
    return f"{lake.n_events():,} events in {len(manifest.files):,} files{when}"


def _files(lake: Lake, manifest: Manifest) -> CheckResult:
    missing = [file.path for file in manifest.files if not (lake.root / file.path).is_file()]
    changed = [
        file.path
        for file in manifest.files
        if file.path not in missing and sha256_of(lake.root / file.path) != file.sha256
    ]
    if missing or changed:
        first = (missing + changed)[0]
        detail = f"{len(missing)} missing, {len(changed)} changed, such as {first}"
        return CheckResult(_IN_PLACE, "FAIL", f"Features would be built on part of the events. {_REPAIR}", detail)
    return CheckResult(_IN_PLACE, "PASS", "What was imported is what will be read.", f"{len(manifest.files):,} files")


def _columns(connection: duckdb.DuckDBPyConnection) -> CheckResult:
    name = "events have the columns of the contract"
    found = {row[0] for row in connection.execute("DESCRIBE SELECT * FROM event_versions").fetchall()} - {"filename"}
    if found != set(EVENT_SCHEMA.names):
        detail = (
            f"too many: {sorted(found - set(EVENT_SCHEMA.names))}; missing: {sorted(set(EVENT_SCHEMA.names) - found)}"
        )
        return CheckResult(name, "FAIL", f"Another version of Rapport wrote these files. {_REPAIR}", detail)
    return CheckResult(name, "PASS", "Features and experiments find what they read.", f"{len(found)} columns")


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[CheckResult]:
    repeated = _count(
        connection,
        "SELECT count(*) FROM (SELECT event_id FROM event_versions WHERE superseded_at IS NULL "
        "GROUP BY event_id HAVING count(*) > 1)",
    )
    name = "every event stands once"
    if repeated:
        yield CheckResult(
            name, "FAIL", f"These events would be counted more than once. {_REPAIR}", f"{repeated:,} event ids"
        )
    else:
        yield CheckResult(name, "PASS", "No event is counted twice.")
    backwards = _count(
        connection,
        "SELECT count(*) FROM event_versions WHERE received_at < occurred_at OR superseded_at < received_at",
    )
    name = "nothing was known before it happened"
    if backwards:
        meaning = "Features as of then would know the future of these events; correct received_at in the mapping."
        yield CheckResult(name, "FAIL", meaning, f"{backwards:,} events")
    else:
        yield CheckResult(name, "PASS", "Features as of any instant see only what was known then.")
    future = _count(
        connection,
        "SELECT count(*) FROM event_versions WHERE occurred_at > (now() AT TIME ZONE 'UTC') + INTERVAL 1 DAY",
    )
    name = "no event lies in the future"
    if future:
        meaning = "They count for nothing until then; look at the mapping's zone, unit and format."
        yield CheckResult(name, "WARN", meaning, f"{future:,} events")
    else:
        yield CheckResult(name, "PASS", "The clock of the events is believable.")


def _identities(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> CheckResult:
    name = "every customer of the lake has an id"
    try:
        database = connect_to_read(workspace.database)
        try:
            known = IdentityTable(database).as_arrow()
        finally:
            database.close()
    except sqlite3.Error as error:
        return CheckResult(name, "FAIL", "The database cannot be read; restore state/ from a backup.", str(error))
    connection.register("known", known)
    n_customers = _count(connection, "SELECT count(DISTINCT customer_key) FROM event_versions")
    unknown = _count(
        connection,
        "SELECT count(DISTINCT customer_key) FROM event_versions "
        "WHERE customer_key NOT IN (SELECT customer_key FROM known)",
    )
    if unknown:
        meaning = (
            "Their events belong to nobody: lake/ and state/ are not of the same age. Restore both, or import again."
        )
        return CheckResult(name, "FAIL", meaning, f"{unknown:,} of {n_customers:,} customers")
    return CheckResult(name, "PASS", "Each can be asked for by the shop's own id.", f"{n_customers:,} customers")


def _quarantine(lake: Lake) -> Iterator[CheckResult]:
    name = "no row is in quarantine"
    files = sorted((lake.root / "quarantine").glob("*.parquet"))
    if not files:
        yield CheckResult(name, "PASS", "Every row of every import was understood.")
        return
    listed = ", ".join(quoted(file) for file in files)
    with duckdb.connect() as connection:
        counts = connection.execute(
            f"SELECT reason, count(*) FROM read_parquet([{listed}]) GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
    meaning = "These rows are no events. Each lies in lake/quarantine/ with its reason; mend the export or the mapping."
    yield CheckResult(name, "WARN", meaning, ", ".join(f"{reason} {n_rows:,}" for reason, n_rows in counts))


def _leftovers(lake: Lake, manifest: Manifest) -> Iterator[CheckResult]:
    name = "no import was left halfway"
    kept = {file.path for file in manifest.files} | set(manifest.retired)
    n_orphans = sum(_is_orphan(path, lake.root, kept) for path in (lake.root / "events").glob("month=*/bucket=*/*"))
    if n_orphans or (lake.root / "staging").exists():
        meaning = "Readers do not see what it left; repeat that import, which also sweeps this away."
        yield CheckResult(name, "WARN", meaning, f"{n_orphans:,} files")
    else:
        yield CheckResult(name, "PASS", "Every import that started has ended.")


def _is_orphan(path: Path, root: Path, kept: set[str]) -> bool:
    return path.relative_to(root).as_posix() not in kept


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
