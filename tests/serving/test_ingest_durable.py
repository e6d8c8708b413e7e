"""What the ledger keeps of live events: each once, a request as a whole, and what failed until it is replayed."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.checking import check_workspace
from features.database import connect
from features.erased_rows import erase_rows
from features.event_log import EventLog
from features.identity import IdentityTable
from features.lake import instant_us
from features.letter_counts import letter_check
from features.texts import texts_of
from features.workspace import Workspace
from serving.ingest.cli import dead_letters
from serving.ingest.conversions import Conversions
from serving.ingest.dead_letters import DeadLetters
from serving.ingest.http import Ingest
from serving.ingest.instants import Limits
from serving.ingest.judging import Arrival, Judge, Letter, Taken
from serving.ingest.keeping import LOOKED_AFTER, LOOKED_EVERY_US, Kept, Looks
from serving.ingest.reading import many_calls
from serving.ingest.verb import replay_letters
from serving.ingest.verdicts import LETTER_REASONS
from serving.ingest.work import write_calls
from serving.ledger import Ledger
from tests.serving.conftest import starter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shop:
    """A shop where it is noon, and what it was told."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.brand = load_brand(workspace)
        self.ledger = Ledger(workspace.database)
        self.touched: list[set[int]] = []
        self.catalogue = load_catalogue(workspace, self.brand)
        self.ingest = Ingest(
            self.brand,
            self.catalogue,
            self.ledger,
            clock=lambda: NOON,
            touched=lambda keys: self.touched.append(set(keys)),
            limits=Limits(),
            kept=Kept(most=30),
        )

    def tell(self, *calls: dict[str, Any], sent_at: datetime | None = None) -> list[tuple[str, str | None]]:
        """Sends a batch; status and reason of each call."""
        body = {"batch": calls} | ({} if sent_at is None else {"sentAt": sent_at.isoformat()})
        verdicts = asyncio.run(self.ingest.take(many_calls(json.dumps(body).encode())))
        return [(verdict.status, verdict.reason) for verdict in verdicts]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(connect(self.workspace.database)) as connection:
            return connection.execute(query).fetchall()

    def events(self) -> list[tuple[str, int]]:
        return self.rows("SELECT event_id, customer_key FROM event_log ORDER BY log_seq")

    def key(self, customer_id: str, *, device: bool = False) -> int | None:
        with closing(connect(self.workspace.database)) as connection:
            found = IdentityTable(connection).key(customer_id, "anonymous" if device else "user")
        return None if found is None else int(found)

    def run(self, *arguments: str) -> Any:
        """The verb dead-letters with --json."""
        result = CliRunner().invoke(
            dead_letters, [*arguments, "--json", "--workspace", str(self.workspace.root)], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(starter(tmp_path / "shop"))
    yield shop
    shop.ledger.close()


def track(message_id: str, user: str = "asha", event: str = "Note Taken", **more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "messageId": message_id, "event": event} | more


def identify(message_id: str, user: str, device: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "anonymousId": device, "messageId": message_id, "traits": traits}


# -- once -------------------------------------------------------------------------------------------------------------


def test_a_message_counts_once_also_within_its_batch(shop: Shop) -> None:
    assert shop.tell(track("m1"), track("m2"), track("m1")) == [
        ("accepted", None),
        ("accepted", None),
        ("duplicate", None),
    ]
    assert shop.tell(track("m2"), track("m3")) == [("duplicate", None), ("accepted", None)]
    assert [event_id for event_id, _ in shop.events()] == ["m1", "m2", "m3"]


def test_whose_rows_are_behind_is_told_once_it_is_on_disk_and_of_nobody_else(shop: Shop) -> None:
    shop.tell(track("m1"), track("m2", user="bela"), track("m3", event=""))
    shop.tell(track("m1"))
    assert shop.touched == [{shop.key("asha"), shop.key("bela")}]


def test_a_message_that_comes_again_joins_nobody_and_makes_no_customer(shop: Shop) -> None:
    shop.tell(identify("m1", "asha", "phone"))
    shop.tell(identify("m2", "bela", "phone"))  # the phone is shared: it is Bela's now
    assert shop.tell(identify("m1", "asha", "phone"), track("m1", user="nobody yet")) == [("duplicate", None)] * 2
    assert shop.key("phone", device=True) == shop.key("bela") != shop.key("asha")
    assert shop.key("nobody yet") is None


def test_events_of_one_batch_are_their_customers_whatever_is_joined_in_between(shop: Shop) -> None:
    page = {"type": "page", "anonymousId": "phone", "messageId": "m1"}
    alias = {"type": "alias", "previousId": "asha_old", "userId": "asha", "messageId": "m4"}
    shop.tell(page, identify("m2", "asha", "phone"), track("m3", user="asha_old"), alias, track("m5", user="asha_old"))
    key = shop.key("asha")
    assert shop.key("asha_old") == shop.key("phone", device=True) == key
    assert [of for event_id, of in shop.events() if event_id != "m3"] == [key] * 4  # m3 stays under the key it came by


def test_free_text_is_in_the_table_that_can_be_emptied_and_nowhere_else(tmp_path: Path) -> None:
    workspace = starter(tmp_path / "shop")
    text = workspace.brand_file.read_text("utf-8")
    declared = "traits:\n  note:\n    kind: need\n    type: text\n    question: {en: Anything else?}\n"
    workspace.brand_file.write_text(text.replace("traits:\n", declared, 1), "utf-8")
    shop = Shop(workspace)
    try:
        told = {"trait": "note", "answer": "my knee hurts", "question": "Anything else?", "notice_version": "v3"}
        assert shop.tell(track("m1", event="Question Answered", properties=told)) == [("accepted", None)]
        shop.tell(track("m1", event="Question Answered", properties=told | {"answer": "another"}))
        with closing(connect(workspace.database)) as connection:
            (text_said,) = texts_of(connection, [int(shop.key("asha") or 0)])
        assert (text_said.value, text_said.question, text_said.notice_version) == (
            "my knee hurts",
            "Anything else?",
            "v3",
        )
        assert text_said.said_at_us == instant_us(NOON)
        assert "knee" not in str(shop.rows("SELECT * FROM event_log"))
    finally:
        shop.ledger.close()


def test_a_request_is_written_as_a_whole_or_not_at_all(shop: Shop) -> None:
    judge = Judge(shop.brand, Limits())
    arrival = Arrival(instant_us(NOON), instant_us(NOON))
    calls = [track("m1", user="new"), track("m2", user="new", event="")]
    judged = [judge.judge(json.dumps(call).encode(), arrival) for call in calls]

    def fails(connection: sqlite3.Connection) -> None:
        write_calls(
            connection,
            taken=[one for one in judged if isinstance(one, Taken)],
            letters=[one for one in judged if isinstance(one, Letter)],
            conversions=Conversions(shop.brand, shop.catalogue),
        )
        raise ValueError("as if the disk were full")

    with pytest.raises(ValueError, match="as if"):
        shop.ledger.write(fails)
    assert shop.key("new") is None
    assert shop.run("list") == []
    assert shop.tell(*calls) == [("accepted", None), ("dead_lettered", "no_event_name")]


# -- dead letters -----------------------------------------------------------------------------------------------------


def answered(message_id: str) -> dict[str, Any]:
    return track(message_id, event="Question Answered", properties={"trait": "shoe_size", "answer": 42})


def declare_shoe_size(workspace: Workspace) -> None:
    text = workspace.brand_file.read_text("utf-8")
    declared = "traits:\n  shoe_size: {kind: fact, type: number}\n"
    workspace.brand_file.write_text(text.replace("traits:\n", declared, 1), "utf-8")


def test_a_dead_letter_is_kept_as_it_was_sent_and_once(shop: Shop) -> None:
    assert shop.tell(answered("m1"), track("m2")) == [("dead_lettered", "unknown_trait"), ("accepted", None)]
    assert shop.tell(answered("m1")) == [("dead_lettered", "unknown_trait")]
    (letter,) = shop.run("list")
    assert (letter["message_id"], letter["user_id"], letter["reason"]) == ("m1", "asha", "unknown_trait")
    assert json.loads(letter["body"]) == answered("m1")
    assert letter["received_at"] == NOON.isoformat()


def test_what_brand_yaml_declares_by_now_is_taken_from_the_dead_letters_once(shop: Shop) -> None:
    shop.tell(answered("m1"), track("m2", event=""))
    declare_shoe_size(shop.workspace)
    told = shop.run("replay")
    assert (told["accepted"], [one["reason"] for one in told["still_dead"]]) == (1, ["no_event_name"])
    assert [letter["message_id"] for letter in shop.run("list")] == ["m2"]
    (row,) = shop.rows("SELECT occurred_at, received_at, payload FROM event_log")
    assert row[0] == instant_us(NOON)  # it happened when it did
    assert row[1] > instant_us(datetime(2026, 6, 1, tzinfo=UTC))  # but is known only now, not at that noon in March
    assert json.loads(row[2])["answer"] == "42"
    assert shop.run("replay")["accepted"] == 0


def test_a_dead_letter_that_was_sent_again_rightly_is_a_duplicate_and_leaves_the_list(shop: Shop) -> None:
    shop.tell(track("m1", timestamp="soon"))
    shop.tell(track("m1"))
    with closing(connect(shop.workspace.database)) as connection:  # as a client would mend it, under the same id
        connection.execute("UPDATE dead_letters SET body = ?", (json.dumps(track("m1")).encode(),))
        connection.commit()
    assert shop.run("replay") == {"accepted": 0, "duplicates": 1, "still_dead": []}
    assert shop.run("list") == []
    assert len(shop.events()) == 1


def test_an_old_event_is_taken_by_replay_when_it_is_told_to_with_the_clock_that_was_corrected(shop: Shop) -> None:
    happened, off = NOON - timedelta(days=900), timedelta(hours=5)
    old = track("m1", timestamp=(happened + off).isoformat())
    assert shop.tell(old, sent_at=NOON + off) == [("dead_lettered", "time_too_long_ago")]
    assert shop.run("replay")["accepted"] == 0
    assert shop.run("replay", "1", "--any-time")["accepted"] == 1
    assert shop.rows("SELECT occurred_at FROM event_log") == [(instant_us(happened),)]


def test_what_was_in_the_future_can_be_taken_once_it_has_happened(shop: Shop) -> None:
    shop.tell(track("m1", timestamp=(NOON + timedelta(days=2)).isoformat()))
    assert shop.run("list", "--reason", "time_in_the_future")[0]["message_id"] == "m1"
    assert (
        shop.run("replay", "--reason", "time_in_the_future")["accepted"] == 1
    )  # by the clock of now, after that March


def test_replaying_a_number_that_is_not_there_is_the_callers_mistake(shop: Shop) -> None:
    result = CliRunner().invoke(dead_letters, ["replay", "7", "--workspace", str(shop.workspace.root)])
    assert "no" in str(result.exception)
    assert "dead letter 7" in str(result.exception)


@pytest.mark.parametrize("verb", ["list", "replay"])
def test_a_reason_that_there_is_not_is_refused_with_the_closest_one(shop: Shop, verb: str) -> None:
    shop.tell(track("m1", timestamp="soon"))
    result = CliRunner().invoke(
        dead_letters, [verb, "--reason", "unknown_tait", "--workspace", str(shop.workspace.root)]
    )
    assert "Closest: 'unknown_trait'." in str(result.exception)
    assert "There are: unparsable_timestamp (1)." in str(result.exception)
    assert shop.run("list", "--reason", "unknown_trait") == []


def test_the_reasons_are_those_that_the_docs_explain() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")
    table = page.partition("## Dead letters")[2].partition("```")[0]
    told = [name for line in table.splitlines() if line.startswith("|") for name in re.findall(r"`([a-z_]+)`", line)]
    assert sorted(told) == sorted(LETTER_REASONS)


def test_check_tells_how_many_dead_letters_there_are(shop: Shop) -> None:
    assert letter_check(shop.workspace).status == "PASS"
    shop.tell(track("m1", timestamp="soon"), track("m2", timestamp="later"), track(""))
    found = letter_check(shop.workspace)
    assert (found.status, found.detail) == ("WARN", "unparsable_timestamp 2, unusable_message_id 1")
    assert found in check_workspace(shop.workspace).results


def test_the_list_for_people_shows_no_command_to_a_terminal(shop: Shop) -> None:
    shop.tell(track("m1", timestamp="\x1b[2Jsoon"))
    result = CliRunner().invoke(dead_letters, ["list", "--workspace", str(shop.workspace.root)])
    assert "unparsable_timestamp" in result.output
    assert "\x1b" not in result.output


def test_replays_at_the_same_time_take_each_letter_once(shop: Shop) -> None:
    shop.tell(*(answered(f"m{n}") for n in range(20)))
    declare_shoe_size(shop.workspace)
    replay = partial(replay_letters, shop.workspace, numbers=None, reason=None, any_time=False)

    async def both() -> list[dict[str, Any]]:
        return list(await asyncio.gather(asyncio.to_thread(replay), asyncio.to_thread(replay)))

    assert sum(told["accepted"] for told in asyncio.run(both())) == 20
    assert len(shop.events()) == 20


def test_two_letters_of_one_message_id_are_both_kept(shop: Shop) -> None:
    for call in (answered("m1"), answered("m1"), track("m1", event="")):
        shop.tell(call)
    assert [letter["reason"] for letter in shop.run("list")] == ["no_event_name", "unknown_trait"]


def test_a_letter_is_replayed_with_the_context_of_its_batch(shop: Shop) -> None:
    batch = {"batch": [answered("m1")], "context": {"campaign": {"source": "google", "medium": "cpc"}}}
    asyncio.run(shop.ingest.take(many_calls(json.dumps(batch).encode())))
    assert shop.run("list")[0]["context"] == {"campaign": {"source": "google", "medium": "cpc"}}
    declare_shoe_size(shop.workspace)
    assert shop.run("replay")["accepted"] == 1
    assert json.loads(shop.rows("SELECT payload FROM event_log")[0][0])["source"] == "google / cpc"


def test_a_large_context_is_not_kept_a_thousand_times(shop: Shop) -> None:
    batch = {"batch": [answered("m1")], "context": {"page": {"url": "x" * 100_000}}}
    asyncio.run(shop.ingest.take(many_calls(json.dumps(batch).encode())))
    assert shop.run("list")[0]["context"] is None


def test_erasure_finds_a_letter_by_the_id_that_an_alias_would_have_joined(shop: Shop) -> None:
    alias = {"type": "alias", "previousId": "asha_old", "userId": "bela", "messageId": "m1", "timestamp": "soon"}
    shop.tell(alias, track("m2", timestamp="soon"))
    with closing(connect(shop.workspace.database)) as connection, connection:
        assert erase_rows(connection, [], ids=["asha_old"])["dead_letters"] == 1
    assert [letter["message_id"] for letter in shop.run("list")] == ["m2"]


def test_the_oldest_dead_letters_go_first_and_the_list_says_so(shop: Shop) -> None:
    shop.tell(*(track(f"m{n}", event="") for n in range(33)))
    shop.ledger.write(lambda connection: None)  # what is written later is written by now
    assert [letter["number"] for letter in shop.run("list")] == list(range(33, 3, -1))
    with closing(connect(shop.workspace.database)) as connection, connection:
        letters = DeadLetters(connection)
        assert letters.prune(Kept(most=30, past_us=5), now_us=instant_us(NOON) + 5) == 0
        assert letters.prune(Kept(most=30, past_us=5), now_us=instant_us(NOON) + 6) == 30
    result = CliRunner().invoke(dead_letters, ["list", "--workspace", str(shop.workspace.root)])
    assert "Kept are the newest 100,000, each for 90 days: the oldest go first." in result.output


def test_a_process_looks_for_old_letters_at_first_then_every_hour_and_in_a_flood() -> None:
    looks = Looks()
    assert [looks.is_due(0, now_us=now) for now in (5, 6, LOOKED_EVERY_US + 4, LOOKED_EVERY_US + 5)] == [
        True,
        False,
        False,
        True,
    ]
    flood = [looks.is_due(LOOKED_AFTER // 2, now_us=LOOKED_EVERY_US + 6) for _ in range(4)]
    assert flood == [False, True, False, True]


def test_the_log_reads_back_as_the_event_tables_columns(shop: Shop) -> None:
    order = {
        "order_id": "o1",
        "total": 10,
        "currency": "INR",
        "products": [{"product_id": "p", "price": 5, "quantity": 2}],
    }
    shop.tell(track("m1", event="Order Completed", properties=order | {"coupon": "X"}))
    with closing(connect(shop.workspace.database)) as connection:
        (event,) = EventLog(connection).since(0).to_pylist()
    assert (event["event"], event["total"], event["backfilled"]) == ("Order Completed", 10.0, False)
    assert event["products"][0]["quantity"] == 2.0
    assert json.loads(event["properties"]) == {"coupon": "X"}
