"""Traits of a withdrawn purpose leave everything that is stored, once, and nothing else changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.records import SCHEMA as LEDGER
from features import scrubbed_rows
from features.brand import load_brand
from features.by_customer import ByCustomer, ensure_by_customer
from features.contract import EVENT_SCHEMA
from features.database import connect, create_tables, transaction
from features.event_log import EventLog
from features.evidence import evidence_of
from features.identity import IdentityTable
from features.lake import Lake
from features.scrubbing import Scrubbed, scrub
from features.snapshots import build_snapshot, snapshot_path
from features.sync import sync
from features.texts import texts_of, write_text
from features.workspace import Workspace
from serving.ledger_rows import STATISTICS_SCHEMA
from tests.features.scrubbing_world import (
    ANN,
    BOB,
    DEVICE,
    PERSONALISATION,
    TOLD,
    Event,
    a_shop_of_two,
    decide,
    everything,
    rows,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def shop(a_workspace: Callable[..., Workspace], an_event: Callable[..., Event], noon: datetime) -> Workspace:
    return a_shop_of_two(a_workspace, an_event, noon)


def test_what_was_said_for_a_withdrawn_purpose_leaves_everything_that_is_stored(shop: Workspace) -> None:
    before = everything(shop, (ANN, DEVICE))
    assert all(word in before for word in ("acne", '["makeup"]', "rain", "For your acne"))
    done = scrub(shop)
    assert (done.n_customers, done.n_records) == (1, 2)
    assert done.n_statements == 2 + 1 + 1 + 1  # lake: two answers and an identify; log: one; texts: one
    after = everything(shop, (ANN, DEVICE, 0))
    assert "d-after" in after  # made when nothing of it was known any more
    left = "\n".join(line for line in after.splitlines() if "d-after" not in line)
    assert [word for word in ("acne", "makeup", "rain", "dryness", "income") if word in left] == []


def test_what_is_no_answer_stays_with_the_evidence_that_it_was_asked(shop: Workspace) -> None:
    scrub(shop)
    events = ByCustomer.open(shop).events([ANN]).to_pylist()
    assert [event["event"] for event in events] == ["Question Answered", "identify", "Product Viewed"]
    assert json.loads(events[0]["properties"]) == TOLD
    assert (events[0]["trait"], events[0]["answer"]) == ("skin_need", None)
    assert json.loads(events[1]["properties"])["locale"] == "hi-IN"
    with closing(connect(shop.database)) as connection:
        (text,) = connection.execute("SELECT record FROM decisions WHERE decision_id = 'd1'").fetchone()
    record = json.loads(text)
    assert record["withdrawn"] == ["personalisation"]
    assert record["distribution"] == {"skin_need": 1.0}  # an action may be called like a trait
    assert record["inputs"] == {"n_orders": 2}
    assert [one["detail"] for one in record["suppressed"]] == ["withdrawn", "n_orders > 1.0"]


def test_what_a_decision_was_made_from_goes_whole(shop: Workspace) -> None:
    inputs = json.dumps({"state": {"vector": "AACAPw==", "declared": {"skin_need": "acne"}}})
    with closing(connect(shop.database)) as connection, connection:
        connection.execute("UPDATE decisions SET inputs = ?", (inputs,))
    assert scrub(shop).n_records == 2
    with closing(connect(shop.database)) as connection:
        kept = dict(connection.execute("SELECT decision_id, inputs FROM decisions").fetchall())
    assert kept["d1"] is None
    assert kept["d-after"] == inputs
    assert scrub(shop).n_records == 0


def test_who_withdrew_nothing_keeps_everything(shop: Workspace) -> None:
    before = everything(shop, (BOB,))
    scrub(shop)
    assert everything(shop, (BOB,)) == before


def test_a_scrubbed_snapshot_is_what_would_be_built_now(shop: Workspace, noon: datetime) -> None:
    at = noon - timedelta(days=10)
    assert rows(shop, at, ANN)["trait_skin_need"] == 1.0
    scrub(shop)
    scrubbed = [rows(shop, at, key) for key in (ANN, BOB)]
    assert (scrubbed[0]["trait_skin_need"], scrubbed[0]["trait_skin_need_at"]) == (None, None)
    assert (scrubbed[0]["declared"], scrubbed[0]["n_answers"]) == ("{}", 2.0)  # locale still stands; asked is asked
    snapshot_path(shop, at).unlink()
    build_snapshot(shop, at)
    assert [rows(shop, at, key) for key in (ANN, BOB)] == scrubbed


def test_a_second_scrub_finds_nothing_and_touches_no_file(shop: Workspace) -> None:
    scrub(shop)
    files = changed_at(shop)
    assert scrub(shop) == Scrubbed()
    with closing(connect(shop.database)) as connection, connection:
        connection.execute("UPDATE scrub_state SET value = '' WHERE name = 'made_from'")  # as if killed before the end
    assert scrub(shop) == Scrubbed()
    forget_standing(shop)
    assert scrub(shop) == Scrubbed(n_customers=1)
    assert changed_at(shop) == files


def forget_standing(workspace: Workspace) -> None:
    """As if killed before anything was noted."""
    with closing(connect(workspace.database)) as connection, connection:
        connection.execute("UPDATE scrub_state SET value = '' WHERE name = 'made_from'")
        connection.execute("DELETE FROM scrubbed")


def log(workspace: Workspace, event: Event) -> None:
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([event])


def test_only_those_of_whom_something_has_come_since_are_looked_at_again(
    shop: Workspace, an_event: Callable[..., Event]
) -> None:
    assert scrub(shop).n_customers == 1
    log(shop, an_event(BOB, "Product Viewed", days_ago=0.2))
    assert scrub(shop) == Scrubbed()
    log(shop, an_event(DEVICE, "Question Answered", days_ago=0.1, trait="skin_need", answer="acne"))
    done = scrub(shop)
    assert (done.n_customers, done.n_statements) == (1, 1)  # said after the withdrawal, which still stands
    sync(shop)
    assert scrub(shop).n_customers == 1  # what the log held of her has come into the lake
    log(shop, an_event(BOB, "Product Viewed", days_ago=0.05))
    assert scrub(shop).n_customers == 0


def test_after_an_import_everybody_is_looked_at_again(shop: Workspace, an_event: Callable[..., Event]) -> None:
    scrub(shop)
    said = an_event(ANN, "Question Answered", days_ago=40, trait="skin_need", answer="acne")
    rows = [{name: _naive(value) for name, value in said.items()}]
    with Lake(shop.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    done = scrub(shop)
    assert (done.n_customers, done.n_statements) == (1, 1)
    log(shop, an_event(BOB, "Product Viewed", days_ago=0.2))
    assert scrub(shop).n_customers == 0


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def test_rows_are_looked_for_outside_the_lock_and_what_changes_meanwhile_is_looked_at_again(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits, n_taken = scrubbed_rows._edits, 0

    def outside(connection: Any, *given: Any, **named: Any) -> Any:
        for edit in edits(connection, *given, **named):
            assert not connection.in_transaction
            yield edit

    def meanwhile(connection: Any) -> Any:
        nonlocal n_taken
        n_taken += 1
        if n_taken == 1:
            with closing(connect(shop.database)) as another, another:
                another.execute("UPDATE decisions SET record = json_set(record, '$.noted', 7) WHERE decision_id = 'd1'")
        return transaction(connection)

    monkeypatch.setattr(scrubbed_rows, "_edits", outside)
    monkeypatch.setattr(scrubbed_rows, "transaction", meanwhile)
    assert scrub(shop).n_records == 2
    assert n_taken == 2
    with closing(connect(shop.database)) as connection:
        (text,) = connection.execute("SELECT record FROM decisions WHERE decision_id = 'd1'").fetchone()
    assert json.loads(text)["noted"] == 7
    assert json.loads(text)["inputs"] == {"n_orders": 2}


def test_of_a_snapshot_that_holds_nothing_more_only_the_traits_are_read(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrub(shop)
    forget_standing(shop)
    read, columns = pq.read_table, []

    def noted(path: Path, **named: Any) -> Any:
        columns.append(named.get("columns"))
        return read(path, **named)

    monkeypatch.setattr(pq, "read_table", noted)
    assert scrub(shop).n_snapshot_rows == 0
    assert len(columns) >= 2
    assert all(names and "n_answers" not in names for names in columns)


def changed_at(workspace: Workspace) -> dict[Path, int]:
    files = (path for path in workspace.lake.rglob("*") if path.is_file() and "lock" not in path.name)
    return {path: path.stat().st_mtime_ns for path in files}


def test_consent_that_was_given_again_before_the_scrub_keeps_what_was_said(
    shop: Workspace, an_event: Callable[..., Event]
) -> None:
    with closing(connect(shop.database)) as connection:
        given = an_event(ANN, "Consent Given", days_ago=0.1, properties=PERSONALISATION)
        EventLog(connection).append([given])
    assert scrub(shop).n_customers == 0
    assert "acne" in everything(shop, (ANN,))


def test_a_withdrawal_that_was_imported_counts_too(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Event]
) -> None:
    said = an_event(ANN, "Question Answered", days_ago=30, trait="skin_need", answer="acne")
    stop = an_event(ANN, "Consent Withdrawn", days_ago=20, properties=PERSONALISATION)
    email = an_event(BOB, "Consent Withdrawn", days_ago=20, properties=PERSONALISATION, channel="email")
    told = an_event(BOB, "Question Answered", days_ago=30, trait="skin_need", answer="acne")
    workspace = a_workspace([said, stop, email, told])
    assert scrub(workspace) == Scrubbed(n_customers=2, n_statements=2)
    assert "acne" not in everything_of_lake(workspace, ANN)
    assert "acne" not in everything_of_lake(workspace, BOB)  # by whichever channel: a purpose is withdrawn as a whole


def everything_of_lake(workspace: Workspace, key: int) -> str:
    return str(ByCustomer.open(workspace).events([key]).to_pylist())


@pytest.fixture
def asked_for_marketing(a_workspace: Callable[..., Workspace], an_event: Callable[..., Event]) -> Workspace:
    """Ann told two traits of the purpose personalisation when she was asked for marketing, and one when she was not."""
    asked = {"question": "What does it need?", "purpose": "marketing"}
    told = json.dumps({"income": 5, "locale": "hi-IN", "_told": {"purpose": "marketing"}})
    events = [
        an_event(ANN, "Question Answered", days_ago=31, trait="interests", answer='["makeup"]'),
        an_event(ANN, "Question Answered", days_ago=30, trait="skin_need", answer="acne", properties=json.dumps(asked)),
        an_event(ANN, "identify", days_ago=29, properties=told),
    ]
    workspace = a_workspace(events)
    with closing(connect(workspace.database)) as connection:
        create_tables(connection, LEDGER + STATISTICS_SCHEMA)
        IdentityTable(connection)
        with connection:
            write_text(connection, customer_key=BOB, trait="wish", value="rain", event_id="t", said_at_us=1)
    ensure_by_customer(workspace)
    return workspace


def stop_marketing(workspace: Workspace, an_event: Callable[..., Event], **columns: Any) -> None:
    stop = an_event(ANN, "Consent Withdrawn", properties='{"purpose":"marketing"}', **columns)
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([stop])


def test_a_withdrawn_purpose_takes_what_was_asked_for_it_whatever_the_traits_own_purpose_is(
    asked_for_marketing: Workspace, an_event: Callable[..., Event], noon: datetime
) -> None:
    shop, at = asked_for_marketing, noon - timedelta(days=10)
    build_snapshot(shop, at)
    before = rows(shop, at, ANN)
    assert (before["trait_skin_need"], before["trait_income"], before["trait_interests_makeup"]) == (1.0, 5.0, 1.0)
    with closing(connect(shop.database)) as connection:
        decide(connection, ANN, "d1", noon - timedelta(days=7))
    stop_marketing(shop, an_event, days_ago=0.5)
    build_snapshot(shop, noon)
    after = rows(shop, noon, ANN)  # before any scrub
    assert (after["trait_skin_need"], after["trait_income"], after["trait_interests_makeup"]) == (None, None, 1.0)
    assert (json.loads(after["declared"]), after["locale"]) == ({"interests": ["makeup"]}, "hi-IN")
    with closing(connect(shop.database)) as connection:
        found = evidence_of(shop, connection, [ANN], brand=load_brand(shop), at=noon)
    assert {one.name: one.withdrawn_by for one in found} == {
        "skin_need": "purpose",
        "income": "purpose",
        "interests": None,
    }
    done = scrub(shop)
    assert (done.n_customers, done.n_statements, done.n_records) == (1, 2, 2)
    left = everything(shop, (ANN,))
    assert [word for word in ("acne", "income") if word in left] == []
    assert "makeup" in left
    assert "hi-IN" in left
    scrubbed = rows(shop, at, ANN)
    assert (scrubbed["trait_skin_need"], scrubbed["trait_interests_makeup"]) == (None, 1.0)
    snapshot_path(shop, at).unlink()
    build_snapshot(shop, at)
    assert rows(shop, at, ANN) == scrubbed


def test_a_decision_made_between_a_withdrawals_arrival_and_its_commit_is_scrubbed_too(
    asked_for_marketing: Workspace, an_event: Callable[..., Event], noon: datetime
) -> None:
    shop, arrived = asked_for_marketing, noon - timedelta(days=1)
    stop_marketing(shop, an_event, occurred_at=arrived)
    assert scrub(shop, now=arrived + timedelta(seconds=1)).n_records == 0
    with closing(connect(shop.database)) as connection:
        decide(connection, ANN, "d-late", arrived + timedelta(seconds=300))
        decide(connection, ANN, "d-after", arrived + timedelta(seconds=700))
    assert scrub(shop, now=arrived + timedelta(seconds=601)).n_records == 2  # record and answer of the first
    with closing(connect(shop.database)) as connection:
        texts = dict(connection.execute("SELECT decision_id, record FROM decisions").fetchall())
    assert "acne" not in texts["d-late"]
    assert "acne" in texts["d-after"]


def test_free_text_is_gone_with_its_purpose(shop: Workspace) -> None:
    scrub(shop)
    with closing(connect(shop.database)) as connection:
        assert [text.customer_key for text in texts_of(connection, [ANN, BOB])] == [BOB]


KILLED_IN = """
import os, signal, sys
from pathlib import Path
import importlib
import features.scrubbing as scrubbing
from features.workspace import Workspace
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
module, _, function = sys.argv[2].rpartition(".")
setattr(importlib.import_module("features." + (module or "scrubbing")), function, kill)
scrubbing.scrub(Workspace(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    "function", ["rewrite", "scrub_rows", "scrubbed_rows._replace", "purge", "ensure_by_customer", "scrub_snapshot"]
)
def test_killed_anywhere_the_next_one_does_the_rest(shop: Workspace, function: str) -> None:
    arguments = [sys.executable, "-c", KILLED_IN, str(shop.root), function]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    scrub(shop)
    live = {file.path for file in Lake(shop.lake).manifest().files}
    on_disk = {path.relative_to(shop.lake).as_posix() for path in (shop.lake / "events").rglob("*.parquet")}
    assert on_disk == live  # the files that still held it are gone too
    left = "\n".join(line for line in everything(shop, (ANN, DEVICE)).splitlines() if "d-after" not in line)
    assert [word for word in ("acne", "makeup", "rain", "income") if word in left] == []
