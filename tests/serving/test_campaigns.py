"""POST /v1/decisions/batch: as single decisions, for many, line by line."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from features.identity import IdentityTable
from features.workspace import Workspace
from serving.campaigns import running
from serving.campaigns.reading import LONGEST_LINE
from serving.campaigns.running import DECIDED_TOGETHER, READ_TOGETHER, RELEASES_BEFORE_A_GROUP
from serving.committing import commit_all
from serving.contact.store import RELEASED_TOGETHER
from serving.contact.windows import to_us
from serving.engine import Engine
from serving.handing_over import Work
from serving.http import build_app
from serving.joining.stamper import open_stamper
from serving.schemas import DecisionRequest
from tests.serving.conftest import starter
from tests.serving.tiny_models import promote_next_purchase, promote_segments

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINES = {"content-type": "application/x-ndjson"}
POLICY = """
contact_policy:
  frequency_caps:
    weekly: {at_most: 1, rolling_days: 7}
  budgets:
    gifts: {units: 9, actions: [first_order_coupon, skin_quiz]}
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@lru_cache(maxsize=1)
def app() -> FastAPI:
    return build_app()


class Draws:
    """The golden ratio's multiples: even, and the same again for every engine."""

    def __init__(self) -> None:
        self._n = count(1)

    def __call__(self) -> float:
        return next(self._n) * 0.6180339887498949 % 1.0


@contextmanager
def an_engine(folder: Path, *, policy: str = "") -> Iterator[Engine]:
    workspace = starter(folder / "shop")
    text = workspace.brand_file.read_text("utf-8")
    workspace.brand_file.write_text(text.replace("\ncontact_policy:", "\n_contact_policy:") + policy, "utf-8")
    ids, stamper = count(1), open_stamper(workspace.state, secret="the same for every engine, so that answers are")
    with Engine(
        workspace, clock=lambda: NOON, draw=Draws(), new_id=lambda at: f"d-{next(ids):06}", stamper=stamper
    ) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with an_engine(tmp_path_factory.mktemp("campaigns")) as engine:
        yield engine


def post(
    engine: Engine, content: bytes | AsyncIterator[bytes], *, headers: dict[str, str] | None = None
) -> httpx.Response:
    app().state.engine = engine

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.post("/v1/decisions/batch", content=content, headers=headers or LINES)

    return asyncio.run(ask())


def as_lines(*parts: object) -> bytes:
    return b"".join(json.dumps(part).encode() + b"\n" for part in parts)


def a_campaign(engine: Engine, customers: Sequence[object], **question: Any) -> list[dict[str, Any]]:
    asked = question if "placement" in question else {"placement": "chat_reply", "channel": "web"} | question
    answered = post(engine, as_lines(asked, *customers))
    assert answered.status_code == 200, answered.text
    return [json.loads(line) for line in answered.text.splitlines()]


def records(workspace: Workspace) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(workspace.database)) as connection:
        return [json.loads(one) for (one,) in connection.execute("SELECT record FROM decisions ORDER BY decision_id")]


def n_rows(engine: Engine, table: str) -> int:
    return int(engine.reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


CUSTOMERS = [f"c-{n}" for n in range(100)]  # more than one group


@pytest.mark.parametrize(
    "question",
    [
        {"placement": "chat_reply", "channel": "web"},
        {"placement": "chat_reply", "channels": ["web", "line"], "limit": 3},
        {"placement": "weekly_message", "channel": "line", "defer": True},
    ],
    ids=["one", "a-list", "deferred"],
)
def test_a_campaign_decides_as_single_decisions_do_given_the_same_draws(
    tmp_path: Path, question: dict[str, Any]
) -> None:
    customers = [*CUSTOMERS, "c-3", "c-70"]  # two of them twice
    with an_engine(tmp_path / "single", policy=POLICY) as single, an_engine(tmp_path / "many", policy=POLICY) as many:
        for engine in (single, many):
            promote_segments(engine.workspace.artifacts, engine.schema)
            promote_next_purchase(engine.workspace.artifacts, engine.schema)
            engine.models.refresh()
        told = [single.decide(DecisionRequest(customer_id=one, **question)) for one in customers]
        *lines, last = a_campaign(many, customers, **question)
        assert records(many.workspace) == records(single.workspace)
        for one, line in zip(told, lines, strict=True):
            assert {name: one[name] for name in line} == line
        assert last == {"campaign": "whole", "n_decided": len(customers), "n_refused": 0}
        for table in ("contacts", "budget_use", "budget_holds", "action_statistics", "action_exposures"):
            query = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert many.reader.execute(query).fetchall() == single.reader.execute(query).fetchall()


def test_more_than_are_read_together_are_answered_in_their_order_and_as_one_by_one(tmp_path: Path) -> None:
    n = READ_TOGETHER + DECIDED_TOGETHER + 7
    wrong = {0, DECIDED_TOGETHER - 1, DECIDED_TOGETHER, READ_TOGETHER - 1, READ_TOGETHER, n - 1}
    asked: list[object] = [None if number in wrong else f"c-{number}" for number in range(n)]
    with an_engine(tmp_path / "single", policy=POLICY) as single, an_engine(tmp_path / "many", policy=POLICY) as many:
        for one in asked:
            if one is not None:
                single.decide(DecisionRequest(customer_id=str(one), placement="chat_reply", channel="web"))
        *lines, last = a_campaign(many, asked)
        assert [line["customer_id"] for line in lines] == asked
        assert last == {"campaign": "whole", "n_decided": n - len(wrong), "n_refused": len(wrong)}
        assert records(many.workspace) == records(single.workspace)


def test_a_group_grows_while_its_work_is_short_and_never_beyond_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_written: list[int] = []

    def timed(connection: sqlite3.Connection, *, pending: Sequence[Any], gives_back: bool) -> tuple[list[Any], float]:
        n_written.append(len(pending))
        seconds = 0.0 if len(n_written) < 4 else 60.0
        return commit_all(connection, pending, gives_back=gives_back), seconds

    monkeypatch.setattr(running, "_timed", timed)
    with an_engine(tmp_path) as engine:
        a_campaign(engine, [f"c-{number}" for number in range(4 * READ_TOGETHER)])
    # At first of 256 four times 64, then as twice as many fit; once it took a minute, no more than 64 again.
    assert n_written[:4] == [64, 96, 96, 256]
    assert set(n_written[4:]) == {DECIDED_TOGETHER}


def test_who_is_joined_after_they_were_read_is_decided_on_as_who_they_are_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [f"c-{number}" for number in range(2 * DECIDED_TOGETHER)]
    joined: list[object] = []

    def timed(connection: sqlite3.Connection, *, pending: Sequence[Any], gives_back: bool) -> tuple[list[Any], float]:
        written = commit_all(connection, pending, gives_back=gives_back)
        if not joined:  # with the first group, when the second has been read
            joined.append(IdentityTable(connection).alias(previous_id=customers[-1], user_id=customers[0], at_us=0))
        return written, 60.0

    monkeypatch.setattr(running, "_timed", timed)
    with an_engine(tmp_path) as engine:
        a_campaign(engine, customers)
        first, *_, last = records(engine.workspace)
        assert first["customer_key"] == last["customer_key"]


def test_a_budget_is_spent_to_its_last_unit_and_no_further(tmp_path: Path) -> None:
    with an_engine(tmp_path, policy=POLICY.replace("units: 9", "units: 5")) as engine:
        lines = a_campaign(engine, CUSTOMERS)
        taken = Counter(line["action"]["id"] for line in lines[:-1] if not line["holdout"])
        assert taken["first_order_coupon"] + taken["skin_quiz"] == 5


def test_what_is_due_is_released_before_a_group_and_never_all_of_it_in_one_transaction(tmp_path: Path) -> None:
    """The tables of thousands of reservations that ended together; each transaction of the campaign releases few."""
    n_due = (RELEASES_BEFORE_A_GROUP + 2) * RELEASED_TOGETHER
    with an_engine(tmp_path, policy=POLICY) as engine:
        engine.ledger.write(partial(_leave_due, n=n_due))
        released = list[int]()
        write_soon = engine.ledger.write_soon

        async def counted(work: Work) -> Any:
            def counting(connection: sqlite3.Connection) -> Any:
                (before,) = connection.execute(_DUE).fetchone()
                result = work(connection)
                released.append(before - connection.execute(_DUE).fetchone()[0])
                return result

            return await write_soon(counting)

        engine.ledger.write_soon = counted  # type: ignore[assignment,method-assign]  # looks on
        a_campaign(engine, CUSTOMERS[:64])
        assert max(released) == RELEASED_TOGETHER
        assert sum(released) == RELEASES_BEFORE_A_GROUP * RELEASED_TOGETHER
        assert released[-1] == 0  # the group's own


_DUE = f"SELECT count(*) FROM contacts WHERE open_until <= {to_us(NOON)}"


def _leave_due(connection: sqlite3.Connection, *, n: int) -> None:
    columns = (
        "decision_id, slot, customer_key, action_id, channel, tags, initiated_by, decided_at, open_until, latest_at"
    )
    rows = [(f"old-{i}", 0, 900_000 + i, "tip", "web", "", "brand", 1, 2, 2) for i in range(n)]
    connection.executemany(f"INSERT INTO contacts ({columns}) VALUES ({', '.join('?' * 10)})", rows)


def test_campaigns_beside_each_other_and_beside_single_decisions_exceed_no_budget(tmp_path: Path) -> None:
    with an_engine(tmp_path, policy=POLICY.replace("units: 9", "units: 7")) as engine:
        app().state.engine = engine
        asked = {"placement": "chat_reply", "channel": "web"}

        async def everybody() -> None:
            transport = httpx.ASGITransport(app=app())
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                campaigns = [
                    client.post(
                        "/v1/decisions/batch",
                        content=as_lines(asked, *(f"{prefix}-{n}" for n in range(100))),
                        headers=LINES,
                    )
                    for prefix in "abc"
                ]
                singles = [client.post("/v1/decisions", json=asked | {"customer_id": f"s-{n}"}) for n in range(40)]
                for answered in await asyncio.gather(*campaigns, *singles):
                    assert answered.status_code == 200

        asyncio.run(everybody())
        (used,) = engine.reader.execute("SELECT sum(units) FROM budget_use WHERE budget = 'gifts'").fetchone()
        said = "SELECT count(*) FROM contacts WHERE action_id IN ('first_order_coupon', 'skin_quiz')"
        assert (used, *engine.reader.execute(said).fetchone()) == (7, 7)


def test_a_customer_who_is_named_twice_is_not_written_to_twice(tmp_path: Path) -> None:
    with an_engine(tmp_path, policy=POLICY) as engine:
        question = {"placement": "weekly_message", "channel": "line"}
        lines = a_campaign(engine, ["c-1", "c-2", "c-1", "c-2", "c-1"], **question)[:-1]
        for customer in ("c-1", "c-2"):
            said = [line for line in lines if line["customer_id"] == customer and line["action"]["id"] != "nothing"]
            assert len(said) <= 1
        assert any(line["action"]["id"] != "nothing" for line in lines)


def test_one_json_object_is_the_same_campaign(tmp_path: Path) -> None:
    asked = {"placement": "chat_reply", "channel": "web"}
    customers = [{"customer_id": "c-1", "locale": "hi", "traits": {"skin_need": "dryness"}}, "c-2"]
    with an_engine(tmp_path / "lines") as by_lines, an_engine(tmp_path / "object") as by_object:
        lines = post(by_lines, as_lines(asked, *customers))
        whole = json.dumps(asked | {"customers": customers}).encode()
        answered = post(by_object, whole, headers={"content-type": "application/json"})
        assert answered.text == lines.text
        first = json.loads(answered.text.splitlines()[0])
        assert first["locale"] == {"asked": "hi", "used": "hi"}


def test_answers_leave_before_the_last_customer_has_come(engine: Engine) -> None:
    app().state.engine = engine

    async def streamed() -> list[bytes]:
        has_answered, answers = asyncio.Event(), list[bytes]()
        asked = {"placement": "chat_reply", "channel": "web"}
        bodies = iter((as_lines(asked, *CUSTOMERS[:70]), as_lines(*CUSTOMERS[70:])))

        async def receive() -> dict[str, Any]:
            if (body := next(bodies, None)) is None:
                return {"type": "http.request", "body": b"", "more_body": False}
            if not body.startswith(b"{"):
                await has_answered.wait()  # a caller who goes on only after they have read something
            return {"type": "http.request", "body": body, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                answers.append(message["body"])
                has_answered.set()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/decisions/batch",
            "raw_path": b"/v1/decisions/batch",
            "query_string": b"",
            "headers": [(b"content-type", b"application/x-ndjson")],
        }
        await asyncio.wait_for(app()(scope, receive, send), timeout=30)  # type: ignore[arg-type]
        return answers

    answers = asyncio.run(streamed())
    assert len(answers) > 2
    assert len(b"".join(answers).splitlines()) == len(CUSTOMERS) + 1


def asked_by_hand(engine: Engine, messages: Sequence[dict[str, Any]], *, kind: str = "x-ndjson") -> list[bytes]:
    """What a caller is sent who sends these, and nothing else ever."""
    app().state.engine = engine
    coming, answers = iter(messages), list[bytes]()

    async def receive() -> dict[str, Any]:
        return next(coming, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        if message.get("body"):
            answers.append(message["body"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/decisions/batch",
        "raw_path": b"/v1/decisions/batch",
        "query_string": b"",
        "headers": [(b"content-type", f"application/{kind}".encode())],
    }

    async def ask() -> None:
        await asyncio.wait_for(app()(scope, receive, send), timeout=30)  # type: ignore[arg-type]

    asyncio.run(ask())
    return answers


@pytest.mark.parametrize("sends", ["lines", "all but the end", "one object"])
def test_nobody_more_is_decided_on_once_the_caller_has_gone(engine: Engine, sends: str) -> None:
    customers = [f"{sends}-{n}" for n in range(3 * READ_TOGETHER)]
    question: dict[str, Any] = {"placement": "chat_reply", "channel": "web"}
    is_object = sends == "one object"
    body = as_lines(question | {"customers": customers}) if is_object else as_lines(question, *customers)
    part = {"type": "http.request", "body": body, "more_body": sends == "all but the end"}
    before = n_rows(engine, "decisions")
    answers = asked_by_hand(engine, [part], kind="json" if is_object else "x-ndjson")
    n_decided = n_rows(engine, "decisions") - before
    assert 0 < n_decided <= READ_TOGETHER
    assert len(b"".join(answers).splitlines()) == n_decided  # and no last line: the answer is not whole


def test_a_line_that_is_wrong_is_refused_alone_and_counted(engine: Engine) -> None:
    wrong = [
        {"customer_id": "c-1", "age": 3},
        7,
        {"customer_id": "c-2", "traits": {"skin_ned": "x"}},
        "",
        "a\x00b",
        None,
    ]
    *lines, last = a_campaign(engine, ["c-0", *wrong, "c-9"])
    assert [line.get("status") for line in lines] == [None, 422, 422, 422, 422, 422, 422, None]
    assert "nothing reads" in lines[1]["errors"][0]["detail"]
    assert (lines[3]["errors"][0]["pointer"], lines[3]["customer_id"]) == ("/traits/skin_ned", "c-2")
    assert last == {"campaign": "whole", "n_decided": 2, "n_refused": 6}


def test_what_cannot_be_encoded_is_escaped_and_the_others_are_answered(engine: Engine) -> None:
    wrong = ["\ud800", {"customer_id": "\udfff"}, {"customer_id": "c-1", "traits": {"skin_need": "\ud83c"}}]
    *lines, last = a_campaign(engine, [*wrong, "ok-1", "ok-2"])
    assert [line.get("status") for line in lines] == [422, 422, 422, None, None]
    assert [line["customer_id"] for line in lines] == ["\ud800", "\udfff", "c-1", "ok-1", "ok-2"]
    assert last == {"campaign": "whole", "n_decided": 2, "n_refused": 3}


def test_a_language_that_nobody_knows_is_refused_alone_and_one_that_the_brand_does_not_speak_falls_back(
    engine: Engine,
) -> None:
    refused, decided, _ = a_campaign(
        engine, [{"customer_id": "c-1", "locale": "zz-ZZ"}, {"customer_id": "c-2", "locale": "sv"}]
    )
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, "/locale")
    assert decided["locale"] == {"asked": "sv", "used": "en"}


def test_a_line_that_is_no_json_is_refused_alone(engine: Engine) -> None:
    asked = as_lines({"placement": "chat_reply", "channel": "web"}, "c-1") + b"{nonsense\n\n" + as_lines("c-2")
    first, second, third, last = map(json.loads, post(engine, asked).text.splitlines())
    assert (first["customer_id"], third["customer_id"], last["n_refused"]) == ("c-1", "c-2", 1)
    assert "as JSON" in second["errors"][0]["detail"]


def test_a_line_without_end_interrupts_the_campaign_and_says_so(engine: Engine) -> None:
    asked = as_lines({"placement": "chat_reply", "channel": "web"}, "c-1") + b'"' + b"x" * (LONGEST_LINE + 1)
    first, last = map(json.loads, post(engine, asked).text.splitlines())
    assert first["customer_id"] == "c-1"
    assert (last["campaign"], last["n_decided"]) == ("interrupted", 1)
    assert "64,000 bytes" in last["error"]["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (as_lines({"placement": "chat_replies", "channel": "web"}, "c"), "x-ndjson", 422, "Closest: 'chat_reply'"),
        (as_lines({"placement": "chat_reply", "channel": "web", "limit": 0}, "c"), "x-ndjson", 422, "/limit"),
        (as_lines({"placement": "chat_reply", "channel": "web", "customer_id": "c"}), "x-ndjson", 422, "on a line of"),
        (as_lines({"placement": "chat_reply", "channel": "web", "customers": []}), "x-ndjson", 422, "line of its own"),
        (as_lines({"placement": "chat_reply", "channel": "web", "locale": "zz"}), "x-ndjson", 422, "no language 'zz'"),
        (b"", "x-ndjson", 422, "first line is not JSON"),
        (b"[]", "json", 422, "no JSON object"),
        (b"{", "json", 422, "not JSON"),
        (as_lines({"placement": "chat_reply", "channel": "web", "customers": []}), "json", 422, "1 to 100,000"),
        (as_lines({"placement": "chat_reply", "channel": "web", "customers": ["c"] * 100_001}), "json", 422, "100,001"),
        (as_lines({"placement": "chat_reply"}), "plain", 415, "application/x-ndjson"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_as_a_whole(
    engine: Engine, body: bytes, kind: str, status: int, said: str
) -> None:
    n_before = n_rows(engine, "decisions")
    answered = post(engine, body, headers={"content-type": f"application/{kind}"})
    assert answered.status_code == status
    assert answered.headers["content-type"].startswith("application/problem+json")
    assert said in answered.text
    assert n_rows(engine, "decisions") == n_before


def test_a_dry_run_leaves_no_trace(tmp_path: Path) -> None:
    with an_engine(tmp_path, policy=POLICY) as engine:
        *lines, last = a_campaign(engine, CUSTOMERS[:80], dry_run=True)
        assert len(lines) == last["n_decided"] == 80
        for table in ("decisions", "contacts", "budget_use", "identity", "action_exposures"):
            assert n_rows(engine, table) == 0, table


def test_what_a_customer_has_just_done_counts(tmp_path: Path) -> None:
    with an_engine(tmp_path) as engine:
        app().state.engine = engine

        async def order() -> None:
            transport = httpx.ASGITransport(app=app())
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                event = {
                    "userId": "buyer",
                    "event": "Order Completed",
                    "messageId": "m-1",
                    "timestamp": NOON.isoformat(),
                    "properties": {"order_id": "o-1", "total": 900, "currency": "INR"},
                }
                assert (await client.post("/v1/track", json=event)).status_code == 202

        asyncio.run(order())
        buyer, stranger, _ = a_campaign(engine, ["buyer", "stranger"])
        assert (buyer["stage"], stranger["stage"]) == ("conversion", "awareness")
