"""Who can be reached, on which channel, and why the others cannot: small shops whose truth is on this page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.brand import Brand, Channel
from features.event_log import EventLog
from features.identity import IdentityTable
from features.snapshots import build_snapshot
from serving.contact.consent import EVERY_CHANNEL
from serving.engine import Engine
from serving.reach import HOUR_US, NEVER, NOW, THIS_WEEK, People, channel_states, reach_of
from serving.reaching import reach_view
from serving.schemas import DecisionRequest, OutcomeReport
from tests.serving.conftest import starter
from tests.serving.tiny_world import Clock, a_brand

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT_US = int(AT.timestamp()) * 1_000_000

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def people(brand: Brand, n: int = 1, **changes: Any) -> People:
    nobody = np.zeros(n, dtype=bool)
    columns: dict[str, Any] = {
        "keys": np.arange(1, n + 1),
        "segment": np.full(n, None, dtype=object),
        "is_held_out": nobody,
        "consents": dict.fromkeys(brand.channels, nobody),
        "unsubscribed": dict.fromkeys((*brand.channels, EVERY_CHANNEL), nobody),
        "last_seen_us": {name: np.full(n, NEVER) for name in brand.channels},
    }
    return People(**columns | changes)


CHAT = Channel(kind="chat", consent="session", body_limit=500, session_window_hours=24)
LINE = Channel(kind="chat", consent="session", body_limit=500)
WEB = Channel(kind="web", consent="session", body_limit=500)
MAIL = Channel(kind="email", consent="required", body_limit=500)
CASES: dict[str, tuple[Channel, float | None, bool, bool, str]] = {
    # channel, hours since they were last there, consent on record, has a template, what is told
    "mail with consent": (MAIL, None, True, False, NOW),
    "mail without": (MAIL, 1, False, False, "no_consent"),
    "chat in its window": (CHAT, 23, False, False, NOW),
    "chat after its window": (CHAT, 25, False, False, THIS_WEEK),
    "chat after its window, by a template": (CHAT, 25, False, True, NOW),
    "chat of long ago": (CHAT, 200, False, False, "session_closed"),
    "chat of long ago, by a template": (CHAT, 200, False, True, NOW),
    "chat where they never were": (CHAT, None, False, True, "never_on_channel"),
    "chat with a consent": (CHAT, None, True, True, NOW),
    "line of long ago": (LINE, 2000, False, False, NOW),
    "line where they never were": (LINE, None, False, False, "never_on_channel"),
    "web visitor": (WEB, 0.4, False, False, NOW),
    "web visitor of yesterday": (WEB, 24, False, False, THIS_WEEK),
    "web visitor of long ago": (WEB, 200, False, False, "not_there"),
}


@pytest.mark.parametrize(("channel", "hours", "consent", "template", "told"), CASES.values(), ids=CASES)
def test_one_person_on_one_channel(
    channel: Channel, hours: float | None, consent: bool, template: bool, told: str
) -> None:
    brand = a_brand(channels={"it": channel})
    seen = NEVER if hours is None else AT_US - int(hours * HOUR_US)
    one = people(brand, consents={"it": np.array([consent])}, last_seen_us={"it": np.array([seen])})
    assert channel_states(one, "it", channel, has_template=template, at_us=AT_US).tolist() == [told]
    for changes, then in (
        ({"is_held_out": np.array([True])}, "held_out" if told in (NOW, THIS_WEEK) else told),
        ({"unsubscribed": {"it": np.array([True]), EVERY_CHANNEL: np.array([False])}}, "unsubscribed"),
        ({"unsubscribed": {"it": np.array([False]), EVERY_CHANNEL: np.array([True])}}, "unsubscribed"),
    ):
        columns = {name: getattr(one, name) for name in People.__slots__} | changes
        assert channel_states(People(**columns), "it", channel, has_template=template, at_us=AT_US).tolist() == [then]


@given(data=st.data(), n=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_everybody_is_counted_once_on_each_channel_and_in_each_segment(data: st.DataObject, n: int) -> None:
    brand = a_brand()

    def flags() -> Any:
        return np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)

    some = people(
        brand,
        n,
        segment=np.array(
            data.draw(st.lists(st.sampled_from(["s1", "s2", None]), min_size=n, max_size=n)), dtype=object
        ),
        is_held_out=flags(),
        consents={name: flags() for name in brand.channels},
        unsubscribed={name: flags() for name in (*brand.channels, EVERY_CHANNEL)},
        last_seen_us={
            name: np.array([AT_US - hours * HOUR_US for hours in range(n)], dtype=np.int64) for name in brand.channels
        },
    )
    told = reach_of(some, brand=brand, templated=(), at_us=AT_US)
    for one in (*told["channels"], told["on_any_channel"]):
        assert one["reachable_this_week"] + one["not_reachable"] == n
        assert one["reachable_now"] <= one["reachable_this_week"]
        assert sum(one["reasons"].values()) == one["not_reachable"]
    for one in told["channels"]:
        for name in ("reachable_now", "reachable_this_week", "not_reachable"):
            assert sum(segment[name] for segment in one["segments"]) == one[name]
            assert told["on_any_channel"]["reachable_now"] >= one["reachable_now"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    workspace = starter(tmp_path_factory.mktemp("reach") / "shop")
    text = workspace.brand_file.read_text("utf-8")
    workspace.brand_file.write_text(text.replace("holdout_rate: 0.1", "holdout_rate: 0.0"), "utf-8")
    with Engine(workspace, clock=Clock()) as engine:
        yield engine


def append(engine: Engine, *events: dict[str, Any]) -> None:
    engine.ledger.write(lambda connection: EventLog(connection).append(events))


def an_event(n: int, key: int, event: str, *, hours_ago: float, **columns: object) -> dict[str, Any]:
    at = AT - timedelta(hours=hours_ago)
    said = {"event_id": f"r{n}", "customer_key": key, "event": event, "occurred_at": at, "received_at": at}
    return said | columns


def of(told: dict[str, Any], channel: str) -> dict[str, Any]:
    return next(one for one in told["channels"] if one["channel"] == channel)


def test_the_shop_as_a_whole_from_the_snapshot_on_to_what_was_just_said(engine: Engine) -> None:
    names = [f"p{n}" for n in range(1, 6)]
    one, two, three, four, five = engine.ledger.write(
        lambda connection: IdentityTable(connection).keys_for(names)
    ).values()
    append(
        engine,
        an_event(1, one, "Consent Given", hours_ago=48, channel="email"),
        an_event(2, two, "Consent Given", hours_ago=48, channel="email"),
        an_event(3, three, "Product Viewed", hours_ago=30, channel="web"),
        an_event(4, four, "Message Sent", hours_ago=30, channel="line", action_id="tip"),
        an_event(5, five, "Message Replied", hours_ago=3000, channel="line"),
    )
    build_snapshot(engine.workspace, AT - timedelta(hours=24))
    scores = engine.workspace.lake / "scores" / "day=2026-03-01"
    scores.mkdir(parents=True)
    pq.write_table(
        pa.table({"customer_key": [int(one), int(two), int(three)], "segment": ["s1", "s1", "s2"]}),
        scores / "scores.parquet",
    )

    told = reach_view(engine)
    assert (told["n_customers"], told["segments_as_of"], told["as_of"]) == (5, "2026-03-01", AT.isoformat())
    assert of(told, "email") == {
        "channel": "email",
        "reachable_now": 2,
        "reachable_this_week": 2,
        "not_reachable": 3,
        "reasons": {"no_consent": 3},
        "segments": [
            {"segment": "s1", "reachable_now": 2, "reachable_this_week": 2, "not_reachable": 0, "reasons": {}},
            {
                "segment": "s2",
                "reachable_now": 0,
                "reachable_this_week": 0,
                "not_reachable": 1,
                "reasons": {"no_consent": 1},
            },
            {
                "segment": None,
                "reachable_now": 0,
                "reachable_this_week": 0,
                "not_reachable": 2,
                "reasons": {"no_consent": 2},
            },
        ],
    }
    assert (of(told, "web")["reachable_now"], of(told, "web")["reachable_this_week"]) == (0, 1)
    assert of(told, "line")["reachable_now"] == 1  # who was sent something was not there; who replied was
    assert told["on_any_channel"] == {
        "reachable_now": 3,
        "reachable_this_week": 4,
        "not_reachable": 1,
        "reasons": {"on_no_channel": 1},
    }

    append(engine, an_event(6, two, "Consent Withdrawn", hours_ago=0, channel="email"))
    engine.decide(DecisionRequest(customer_id="p4", placement="chat_reply", channel="web"))
    engine.record_outcomes([OutcomeReport(customer_id="p5", outcome="unsubscribed")])
    told = reach_view(engine)
    assert of(told, "email")["reasons"] == {"no_consent": 3, "unsubscribed": 1}
    assert of(told, "web")["reachable_now"] == 1
    assert of(told, "line")["reasons"] == {"never_on_channel": 4, "unsubscribed": 1}


def test_joined_customers_are_one_and_the_erased_are_nobody(engine: Engine) -> None:
    before = reach_view(engine)["n_customers"]

    def join(connection: Any) -> None:
        identity = IdentityTable(connection)
        identity.key_or_new("j1")
        device = identity.key_or_new("d1", "anonymous")
        EventLog(connection).append([an_event(7, int(device), "Page Viewed", hours_ago=0.1, channel="web")])
        identity.join(user_id="j1", anonymous_id="d1", at_us=AT_US)

    visitors = of(reach_view(engine), "web")["reachable_now"]
    engine.ledger.write(join)
    told = reach_view(engine)
    assert (told["n_customers"], of(told, "web")["reachable_now"]) == (before + 1, visitors + 1)
    key = engine.ledger.write(lambda connection: IdentityTable(connection).key_or_new("j1"))
    engine.ledger.write(lambda connection: IdentityTable(connection).forget([key]))
    told = reach_view(engine)
    assert (told["n_customers"], of(told, "web")["reachable_now"]) == (before, visitors)
