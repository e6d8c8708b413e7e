"""After an erasure nothing of the person is left, wherever it was killed on the way; what stays is counted."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.database import connect, transaction
from features.definitions import online_path
from features.erased_letters import forget_letters, letters_naming
from features.erased_rows import personal_tables
from features.erasure import LATE_US, erase, finish_begun, finish_erasures, receipt_of
from features.event_log import EventLog
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.kept_answers import forget_old_answers
from features.lake import Lake
from features.persons import events_of
from features.scrubbing import scrub
from features.workspace import Workspace
from serving.engine import Engine
from serving.erasing import finishing
from serving.erasing.cli import customer
from serving.ingest.dead_letters import DeadLetters
from tests.serving.erasing_world import ANN, BOB, NOON, PHONE, SECRET, a_shop, call, decide, fill, once_finished
from tests.serving.held import ANNS, BOBS, holds_anything_of_ann, holds_anything_of_ann_without_removing, keys_held

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = ("quarantine", "database", "lake", "by_customer", "tables", "online", "journals")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = a_shop(tmp_path_factory.mktemp("erasing") / "shop")
    fill(workspace)
    return workspace


@pytest.fixture
def shop(filled: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the filled shop, to be erased from."""
    shutil.copytree(filled.root, tmp_path / "shop")
    return Workspace(tmp_path / "shop")


@pytest.fixture(scope="module")
def erased(filled: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, object]]:
    """A copy from which Ann was erased, and her receipt."""
    root = tmp_path_factory.mktemp("erased") / "shop"
    shutil.copytree(filled.root, root)
    return Workspace(root), erase(Workspace(root), ANN, now=NOON)


def test_the_world_holds_ann_everywhere_before(filled: Workspace) -> None:
    where = " ".join(holds_anything_of_ann_without_removing(filled))
    places: tuple[str, ...] = (
        "identity",
        "texts",
        "decisions",
        "outcomes",
        "answers",
        "moments_due",
        "event_log",
        ".arrow",
    )
    places += ("snapshot.parquet", "scores.parquet", "refused", "online row")
    assert [place for place in places if place not in where] == []
    assert any(key == ANNS and re.fullmatch(r"[0-9a-f]{32}.parquet", name) for name, key in keys_held(filled))


def test_nothing_of_an_erased_customer_is_left_in_any_file(erased: tuple[Workspace, dict[str, object]]) -> None:
    assert holds_anything_of_ann(erased[0]) == []


def test_others_keep_everything(filled: Workspace, erased: tuple[Workspace, dict[str, object]]) -> None:
    def bobs(workspace: Workspace) -> tuple[object, ...]:
        with closing(connect(workspace.database)) as connection:
            counts = {
                table: connection.execute(f'SELECT count(*) FROM "{table}" WHERE customer_key = ?', (BOBS,)).fetchone()[
                    0
                ]
                for table in personal_tables(connection)
            }
            events = events_of(workspace, connection, [BOBS])
        rows = sorted((where, key) for where, key in keys_held(workspace) if key == BOBS and "snapshot" in where)
        return counts, events, rows

    before, after = bobs(filled), bobs(erased[0])
    assert after == before
    counts = before[0]
    assert isinstance(counts, dict)
    assert counts["decisions"] == counts["outcomes"] == counts["texts"] == 1


def test_the_receipt_says_what_went_what_stays_and_which_models_knew_them_and_names_nobody(
    erased: tuple[Workspace, dict[str, object]],
) -> None:
    workspace, receipt = erased
    removed = receipt["removed"]
    assert isinstance(removed, dict)
    expected = {"identity": 2, "texts": 1, "decisions": 1, "outcomes": 1, "answers": 1, "dead_letters": 1}
    assert expected.items() <= removed.items()
    assert removed["lake_rows"] == 4 + 1  # four orders, one of them in two versions
    assert removed["quarantined_rows"] == 2
    assert (removed["snapshots_rows"], removed["scores_rows"]) == (3, 1)
    assert removed["online_rows"] >= 1
    assert [one["version"] for one in receipt["models_trained_with"]] == ["20260222-bbbb"]  # type: ignore[attr-defined]
    counted = receipt["remains_as_counts"]["erased_customers_by_arm"]  # type: ignore[index]
    assert [one["n_customers"] for one in counted.values()] == [1]
    assert receipt["finished_at"] is not None
    written = json.dumps(receipt)
    assert not re.search(f"{ANN}|{PHONE}|customer_key", written)
    assert receipt_of(workspace, ANN) == receipt_of(workspace, PHONE) == receipt


def test_asked_again_it_gives_the_same_receipt_and_nobody_is_told_of_the_never_seen(
    erased: tuple[Workspace, dict[str, object]],
) -> None:
    workspace, receipt = erased
    assert erase(workspace, ANN) == receipt
    with pytest.raises(CallersMistake, match="nobody by that id was ever seen"):
        erase(workspace, "never@example.org")
    done = CliRunner().invoke(customer, ["export", "never@example.org", "--workspace", str(workspace.root)])
    assert "nobody by that id was ever seen" in str(done.exception)


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from features.erasure import erase
from features.workspace import Workspace
def kill(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "purge":
    import features.forgetting
    features.forgetting.purge = lambda lake: kill("purge")
erase(Workspace(Path(sys.argv[1])), sys.argv[3], on_step=kill)
"""


def kill_at(step: str, workspace: Workspace) -> None:
    arguments = [sys.executable, "-c", KILLED_AT, str(workspace.root), step, ANN]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("step", [*STEPS, "purge"])
def test_killed_at_any_step_the_same_command_finishes_it(shop: Workspace, step: str) -> None:
    kill_at(step, shop)
    receipt = erase(shop, ANN)
    assert receipt["finished_at"] is not None
    assert holds_anything_of_ann(shop) == []


@pytest.mark.parametrize("step", ["lake"])
def test_killed_the_next_scrub_finishes_it(shop: Workspace, step: str) -> None:
    kill_at(step, shop)
    assert scrub(shop).n_erasures == 1
    assert scrub(shop).n_erasures == 0
    assert holds_anything_of_ann(shop) == []


def test_what_comes_late_under_an_erased_key_is_removed_by_the_next_scrub_and_then_the_keys_are_forgotten(
    shop: Workspace,
) -> None:
    erase(shop, ANN, now=NOON)
    with closing(connect(shop.database)) as connection:
        late = {"event_id": "late-1", "customer_key": ANNS, "event": "Product Viewed", "occurred_at": NOON}
        EventLog(connection).append([late | {"received_at": NOON}])
    soon = NOON + timedelta(seconds=5)
    assert finish_erasures(shop, now=soon) == (0, 1)
    later = NOON + timedelta(minutes=5, microseconds=LATE_US)  # an erasure ends as long after NOON as it took
    assert finish_erasures(shop, now=later) == (0, 0)
    with closing(connect(shop.database)) as connection:
        kept = connection.execute("SELECT customer_keys, known_since, swept_at IS NOT NULL FROM erasures").fetchall()
    assert kept == [(None, None, 1)]
    assert holds_anything_of_ann(shop) == []


def test_after_an_erasure_the_same_id_is_a_new_customer_and_the_decision_says_erased(shop: Workspace) -> None:
    with Engine(shop, clock=lambda: NOON) as engine:
        assert call(engine, "GET", "/v1/decisions/decision-of-ann").json()["customer_id"] == ANN
        answer = call(engine, "DELETE", f"/v1/customers/{PHONE}")  # any of their ids will do
        assert (answer.status_code, answer.json()["finished_at"]) == (202, None)
        told = call(engine, "GET", "/v1/decisions/decision-of-ann")
        assert (told.status_code, told.json()) == (200, {"decision_id": "decision-of-ann", "erased": True})
        assert call(engine, "GET", f"/v1/customers/{ANN}").status_code == 404
        assert call(engine, "GET", f"/v1/customers/{ANN}/traits").status_code == 404
        late = {"decision_id": "decision-of-ann", "outcome": "converted", "outcome_id": "late"}
        assert call(engine, "POST", "/v1/outcomes", late).json()["status"] == "erased"
        assert call(engine, "POST", "/v1/outcomes", late | {"decision_id": "never"}).status_code == 404
        assert decide(engine, ANN, "another")["fallback_reason"] == "unknown_customer"
        assert call(engine, "DELETE", f"/v1/customers/{ANN}").json()["removed"]["decisions"] == 1
        assert call(engine, "DELETE", "/v1/customers/never@example.org").status_code == 404
        assert once_finished(engine, ANN)["finished_at"] is not None
    with closing(connect(shop.database)) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes WHERE outcome_id = 'late'").fetchone() == (0,)


def test_while_the_lake_is_written_to_the_person_is_out_of_the_database_and_the_files_follow(shop: Workspace) -> None:
    with Engine(shop, clock=lambda: NOON) as engine:
        with Lake(shop.lake).writer():
            answer = call(engine, "DELETE", f"/v1/customers/{ANN}")
            assert (answer.status_code, answer.json()["finished_at"]) == (202, None)
            assert call(engine, "GET", f"/v1/customers/{ANN}").status_code == 404
            assert call(engine, "DELETE", f"/v1/customers/{ANN}").status_code == 202  # asked again, and again
        assert once_finished(engine, ANN)["removed"]["lake_rows"] == 5
    assert holds_anything_of_ann(shop) == []


def test_an_erasure_over_http_is_answered_at_once_and_one_thread_does_the_rest(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, in_files, threads = finish_begun, threading.Event(), set()

    def slowly(workspace: Workspace, **named: Any) -> bool:
        threads.add(threading.get_ident())
        assert in_files.wait(30)  # what takes minutes where the lake is large
        return finished(workspace, **named)

    monkeypatch.setattr(finishing, "finish_begun", slowly)
    with Engine(shop, clock=lambda: NOON) as engine:
        for _ in range(5):
            assert call(engine, "DELETE", f"/v1/customers/{ANN}").status_code == 202
        assert call(engine, "DELETE", f"/v1/customers/{BOB}").status_code == 202
        in_files.set()
        for customer_id in (ANN, BOB):
            assert once_finished(engine, customer_id)["finished_at"] is not None
    assert len(threads) == 1
    assert holds_anything_of_ann(shop) == []


def test_a_reader_of_before_keeps_the_erasure_open_and_no_writer_waits_for_it(shop: Workspace) -> None:
    with closing(connect(shop.database)) as reader, closing(connect(shop.database)) as writer:
        writer.execute("PRAGMA busy_timeout = 300")
        slowest, is_over = 0.0, threading.Event()

        def write() -> None:
            nonlocal slowest
            while not is_over.wait(0.005):
                began = time.monotonic()
                with transaction(writer):
                    writer.execute("UPDATE identity_version SET n = n")
                slowest = max(slowest, time.monotonic() - began)

        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM identity").fetchone()
        thread = threading.Thread(target=write)
        thread.start()
        receipt = erase(shop, ANN)
        is_over.set()
        thread.join()
        assert receipt["finished_at"] is None  # its pages are still in the journal
        assert slowest < 0.3
        assert finish_erasures(shop)[0] == 0
        reader.rollback()
        assert finish_erasures(shop)[0] == 1
        assert holds_anything_of_ann(shop) == []  # nothing was closed, which would have emptied the journal


def test_a_reader_of_the_online_store_keeps_the_erasure_open_too(shop: Workspace) -> None:
    with closing(sqlite3.connect(online_path(shop))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM sqlite_master").fetchone()
        began = time.monotonic()
        assert erase(shop, ANN)["finished_at"] is None
        assert time.monotonic() - began < 10
        reader.rollback()
        assert erase(shop, ANN)["finished_at"] is not None


def test_rows_of_one_person_are_found_by_an_index_in_every_table(filled: Workspace) -> None:
    with closing(connect(filled.database)) as connection:
        for table in personal_tables(connection):
            plan = connection.execute(f'EXPLAIN QUERY PLAN DELETE FROM "{table}" WHERE customer_key IN (1, 3)')
            said = [row[3] for row in plan]
            assert any(one.startswith(f"SEARCH {table} ") for one in said), (table, said)


def test_calls_that_could_not_be_taken_go_where_they_name_the_person_and_stay_where_they_do_not(
    tmp_path: Path,
) -> None:
    who = "zoë/1@example.org"
    bodies = {
        "beside": (BOB, json.dumps({"userId": BOB, "traits": {"referred_by": who}}, ensure_ascii=False)),
        "escaped": (BOB, json.dumps({"userId": BOB, "traits": {"referred_by": who}}).replace("/", "\\/")),
        "otherwise": (None, '{"userId": "\\u007ao\\u00CB/1@example.org"}'.replace("CB", "eb")),
        "torn": (None, f'{{"userId": "{who}'),
        "whose": (who, "{}"),
        "longer": (BOB, json.dumps({"userId": BOB, "traits": {"email": "a" + who}})),
        "nobody": (None, '{"userId": "\\u007ao"}'),
    }
    with closing(connect(tmp_path / "a.db")) as connection:
        DeadLetters(connection)
        for name, (user, body) in bodies.items():
            values = (name, user, body.encode())
            insert = "INSERT INTO dead_letters (message_id, user_id, reason, detail, received_at, body, fingerprint) "
            connection.execute(insert + "VALUES (?1, ?2, '', '', 1, ?3, ?3)", values)
            if name == "escaped":
                found = letters_naming(connection, [who])  # before the transaction; the others come after
        assert (len(found.numbers), found.through) == (2, 2)
        assert forget_letters(connection, [who], found) == 5
        left = connection.execute("SELECT message_id FROM dead_letters ORDER BY number").fetchall()
    assert left == [("longer",), ("nobody",)]


def test_answers_kept_for_retries_go_after_a_day_and_a_later_retry_is_told_so(shop: Workspace) -> None:
    assert forget_old_answers(shop, now=NOON + timedelta(hours=23)) == 0
    with closing(connect(shop.database)) as connection:
        connection.execute("UPDATE decisions SET decided_at = decided_at + 7200000000 WHERE customer_key = ?", (BOBS,))
        connection.commit()
    assert forget_old_answers(shop, now=NOON + timedelta(hours=25)) == 1
    asked = {"customer_id": ANN, "placement": "chat_reply", "channel": "web", "decision_id": "decision-of-ann"}
    with Engine(shop, clock=lambda: NOON + timedelta(hours=25)) as engine:
        answer = call(engine, "POST", "/v1/decisions", asked | {"explain": True})
        assert answer.status_code == 409
        assert "is not kept any more" in answer.text
        assert decide(engine, BOB, "decision-of-bob")["decision_id"] == "decision-of-bob"


def test_an_export_holds_everything_of_one_person_and_nothing_of_another(filled: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "ann.json"
    arguments = ["export", PHONE, "--workspace", str(filled.root), "--out", str(target)]
    assert CliRunner().invoke(customer, arguments).exit_code == 0
    text = target.read_text("utf-8")
    told = json.loads(text)
    assert {one["id"] for one in told["ids"]} == {ANN, PHONE}
    assert {one["name"]: one["statement"]["value"] for one in told["traits"]} == {
        "skin_need": "dryness",
        "interests": ["skincare", "makeup"],
        "wish": f"{ANN}: {SECRET}",
    }
    assert sum(event["event"] == "Order Completed" for event in told["events"]) == 4
    assert {"decisions", "outcomes", "answers"} <= told["tables"].keys()
    assert len([name for name in told["files"] if name.startswith("snapshots/")]) == 3
    assert BOB not in text
    assert "customer_key" not in text


def test_the_command_erases_and_prints_the_receipt(shop: Workspace) -> None:
    done = CliRunner().invoke(customer, ["erase", ANN, "--workspace", str(shop.root)])
    assert done.exit_code == 0, done.output
    assert "finished" in done.output
    assert "lake rows: 5" in done.output
    assert "next_purchase 20260222-bbbb, served now" in done.output


def test_the_command_says_that_files_wait_for_an_import_and_ends_with_another_code(shop: Workspace) -> None:
    arguments = ["erase", ANN, "--workspace", str(shop.root)]
    with Lake(shop.lake).writer():
        done = CliRunner().invoke(customer, arguments)
        assert (done.exit_code, "is under way since" in done.output) == (1, True)
    assert CliRunner().invoke(customer, arguments).exit_code == 0


def test_an_id_that_was_joined_while_it_was_being_erased_goes_with_whom_it_was_joined_to(shop: Workspace) -> None:
    """The joins of between the look and the transaction are noticed."""
    joined: list[str] = []

    def join(step: str) -> None:
        if step == "quarantine" and not joined:
            joined.append(step)
            with closing(connect(shop.database)) as connection:
                IdentityTable(connection).alias(previous_id=ANN, user_id="anna", at_us=1)

    erase(shop, ANN, on_step=join)
    with closing(sqlite3.connect(shop.database)) as connection:
        left = [row[0] for row in connection.execute("SELECT customer_id FROM identity")]
    assert left == [BOB]
