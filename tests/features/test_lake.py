"""The lake: what was known when, and commits that happen whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake
from features.lake import Lake, bucket_of

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)


def an_event(
    event_id: str, *, day: int = 0, known_day: int | None = None, customer_key: int = 1, **fields: object
) -> dict[str, object]:
    occurred_at = JANUARY + timedelta(days=day)
    received_at = occurred_at if known_day is None else JANUARY + timedelta(days=known_day)
    return {
        "event_id": event_id,
        "customer_key": customer_key,
        "event": "Order Completed",
        "occurred_at": occurred_at.replace(tzinfo=None),
        "received_at": received_at.replace(tzinfo=None),
        "backfilled": False,
    } | fields


def write(lake: Lake, *events: dict[str, object]) -> None:
    with lake.writer() as writer:
        writer.write(pa.Table.from_pylist(list(events), schema=EVENT_SCHEMA))


def seen(lake: Lake, *, as_of: datetime | None = None, customers: list[int] | None = None) -> list[str]:
    with duckdb.connect() as connection:
        lake.register(connection, as_of=as_of, customers=customers)
        return [row[0] for row in connection.execute("SELECT event_id FROM events ORDER BY 1").fetchall()]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_an_empty_lake_is_an_empty_view_with_the_contracts_columns(lake: Lake) -> None:
    with duckdb.connect() as connection:
        lake.register(connection)
        columns = [row[0] for row in connection.execute("DESCRIBE events").fetchall()]
    assert columns == [name for name in EVENT_SCHEMA.names if name != "superseded_at"]
    assert lake.span() is None
    assert lake.n_events() == 0


def test_only_what_happened_and_was_known_before_as_of_is_seen(lake: Lake) -> None:
    write(lake, an_event("early", day=1), an_event("known late", day=1, known_day=20), an_event("late", day=10))
    assert seen(lake, as_of=JANUARY + timedelta(days=10)) == ["early"]
    assert seen(lake, as_of=JANUARY + timedelta(days=21)) == ["early", "known late", "late"]


def test_an_event_at_the_instant_itself_is_not_before_it(lake: Lake) -> None:
    write(lake, an_event("then", day=1))
    assert seen(lake, as_of=JANUARY + timedelta(days=1)) == []
    assert seen(lake, as_of=JANUARY + timedelta(days=1, microseconds=1)) == ["then"]


def test_every_instant_sees_exactly_one_version_of_a_corrected_event(lake: Lake) -> None:
    write(lake, an_event("order", day=1, total=10.0))
    corrected_at = JANUARY + timedelta(days=5)
    with lake.writer() as writer:
        writer.supersede(pa.table({"event_id": ["order"], "known_at": [corrected_at.replace(tzinfo=None)]}))
        writer.write(pa.Table.from_pylist([an_event("order", day=1, known_day=5, total=12.0)], schema=EVENT_SCHEMA))
    totals = {}
    for moment in (corrected_at, corrected_at + timedelta(microseconds=1), None):
        with duckdb.connect() as connection:
            lake.register(connection, as_of=moment)
            totals[moment] = connection.execute("SELECT list(total) FROM events").fetchone()[0]  # type: ignore[index]
    assert list(totals.values()) == [[10.0], [12.0], [12.0]]
    assert lake.n_events() == 1


def test_customers_can_be_asked_for_alone(lake: Lake) -> None:
    write(lake, *(an_event(f"of {key}", customer_key=key) for key in range(1, 20)))
    assert seen(lake, customers=[3, 11]) == ["of 11", "of 3"]
    assert seen(lake, customers=[]) == []


def test_files_lie_by_month_and_bucket_in_order(lake: Lake) -> None:
    write(lake, *(an_event(str(n), day=n, customer_key=n % 5) for n in range(60)))
    for file in lake.manifest().files:
        month, bucket = file.path.split("/")[1:3]
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT customer_key, occurred_at "
                f"FROM read_parquet('{lake.root / file.path}', hive_partitioning = false)"
            ).fetchall()
        assert rows == sorted(rows)
        assert {f"month={at:%Y-%m}" for _, at in rows} == {month}
        assert {f"bucket={bucket_of(key):02d}" for key, _ in rows} == {bucket}


def test_an_error_while_writing_leaves_the_lake_as_it_was(lake: Lake) -> None:
    write(lake, an_event("first"))
    before = lake.fingerprint()

    def write_half() -> None:
        with lake.writer() as writer:
            writer.write(pa.Table.from_pylist([an_event("second")], schema=EVENT_SCHEMA))
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write_half()
    assert seen(lake) == ["first"]
    assert lake.fingerprint() == before


def test_files_that_no_manifest_names_do_not_exist_and_are_swept(lake: Lake) -> None:
    write(lake, an_event("first"))
    live = lake.root / lake.manifest().files[0].path
    orphan = live.with_name("orphan.parquet")
    orphan.write_bytes(live.read_bytes())
    assert seen(lake) == ["first"]
    write(lake, an_event("second"))
    assert not orphan.exists()
    assert seen(lake) == ["first", "second"]


def test_writing_nothing_changes_nothing(lake: Lake) -> None:
    write(lake, an_event("first"))
    before = lake.manifest_path.read_bytes()
    with lake.writer():
        pass
    assert lake.manifest_path.read_bytes() == before


def test_a_second_writer_is_told_who_is_writing(lake: Lake) -> None:
    script = (
        "import sys; from pathlib import Path; from features.lake import Lake\n"
        "with Lake(Path(sys.argv[1])).writer():\n    print('writing', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(lake.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "writing\n"
        with pytest.raises(CallersMistake, match=f"process {other.pid} is writing"), lake.writer():
            pass
        other.stdin.close()


def test_rows_that_are_no_events_are_refused_by_column(lake: Lake) -> None:
    with pytest.raises(CallersMistake, match=r"\['colour'\] are unknown"), lake.writer() as writer:
        writer.write(pa.table({"colour": ["red"]}))
    rows = pa.Table.from_pylist([an_event("x") | {"event": None}], schema=EVENT_SCHEMA)
    with pytest.raises(CallersMistake, match="1 have no event"), lake.writer() as writer:
        writer.write(rows)


def test_an_as_of_without_a_zone_is_refused(lake: Lake) -> None:
    with duckdb.connect() as connection, pytest.raises(CallersMistake, match="no time zone"):
        lake.register(connection, as_of=datetime(2024, 1, 1))  # noqa: DTZ001 - the mistake under test


def test_the_fingerprint_changes_with_what_is_in_the_lake_alone(lake: Lake) -> None:
    write(lake, an_event("first"))
    first = lake.fingerprint()
    assert Lake(lake.root).fingerprint() == first
    write(lake, an_event("second"))
    assert lake.fingerprint() != first


def test_a_manifest_that_is_none_is_a_mistake_that_says_what_to_do(lake: Lake) -> None:
    lake.root.mkdir()
    lake.manifest_path.write_text("{not json", encoding="utf-8")
    with pytest.raises(CallersMistake, match="restore it from a backup"):
        lake.span()
