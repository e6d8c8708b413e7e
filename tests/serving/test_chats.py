"""A chat asked of an engine: when its session window is open, and the message as its provider takes it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from serving.engine import Engine
from serving.refusals import RequestRefused
from serving.schemas import DecisionRequest, OutcomeReport
from tests.serving.conftest import starter
from tests.serving.provider_rules import line_accepts, whatsapp_accepts
from tests.serving.tiny_world import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = starter(tmp_path_factory.mktemp("sessions") / "shop")
    brand = workspace.brand_file.read_text("utf-8")
    brand = brand.replace("holdout_rate: 0.1", "holdout_rate: 0.0").replace(
        "name: epsilon_greedy, epsilon: 0.1", "name: uniform"
    )
    workspace.brand_file.write_text(brand, encoding="utf-8")
    return workspace


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def engine(workspace: Workspace, clock: Clock) -> Iterator[Engine]:
    with Engine(workspace, clock=clock, draw=lambda: 0.3) as engine:
        yield engine


def ask(engine: Engine, customer: str, placement: str, **changes: Any) -> dict[str, Any]:
    asked = {"customer_id": customer, "placement": placement, "channel": "whatsapp", "locale": "en", "explain": True}
    return engine.decide(DecisionRequest.model_validate(asked | changes))


def needs_template(told: dict[str, Any]) -> bool:
    """Whether the brand's own message could only be the approved template."""
    assert told["message"] is not None
    return told["message"]["template"] is not None


def test_who_never_wrote_gets_templates_only(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    assert needs_template(ask(engine, "silent", "weekly_message"))


@pytest.mark.parametrize(("hours", "is_open"), [(0, True), (23.99, True), (24, False), (100, False)])
def test_the_window_is_open_for_as_long_as_the_channel_says(
    engine: Engine, clock: Clock, hours: float, is_open: bool
) -> None:
    customer = f"wrote-{hours}"
    clock.now = NOON
    ask(engine, customer, "chat_reply")
    clock.now = NOON + timedelta(hours=hours)
    assert (not needs_template(ask(engine, customer, "weekly_message"))) is is_open


def test_the_window_has_to_be_open_when_the_message_is_sent(workspace: Workspace, tmp_path: Path, clock: Clock) -> None:
    """A weekend is quiet: what is decided on Saturday waits until Monday, and the session is over by then."""
    shop = Workspace(tmp_path / "shop")
    shutil.copytree(workspace.root, shop.root, ignore=shutil.ignore_patterns("state"))
    brand = shop.brand_file.read_text("utf-8")
    quiet = "[{start: '00:00', until: '00:00', days: [saturday, sunday], channels: [whatsapp], then: wait}]"
    assert "\n  quiet_hours:" not in brand
    policy = f"contact_policy: {{quiet_hours: {quiet}}}\n"
    shop.brand_file.write_text(re.sub(r"(?ms)^contact_policy:.*?(?=^\S|\Z)", "", brand) + policy, encoding="utf-8")
    friday = datetime(2026, 3, 6, 18, tzinfo=UTC)  # 23:30 in India
    with Engine(shop, clock=clock, draw=lambda: 0.3) as engine:
        clock.now = friday
        ask(engine, "wrote", "chat_reply")
        at_once = ask(engine, "wrote", "weekly_message")
        clock.now = friday + timedelta(hours=1)  # Saturday
        late = [ask(engine, "wrote", "weekly_message", context=said) for said in ({}, {"session_open": True})]
    assert (at_once["send_at"], needs_template(at_once)) == (None, False)
    assert {told["send_at"] for told in late} == {"2026-03-08T18:30:00+00:00"}  # Monday in India
    assert [needs_template(told) for told in late] == [True, True]


def test_another_channel_opens_no_window(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    ask(engine, "elsewhere", "chat_reply", channel="line")
    assert needs_template(ask(engine, "elsewhere", "weekly_message"))


def test_a_reply_opens_the_window(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    first = ask(engine, "replies", "weekly_message")
    assert needs_template(first)
    replied = {"decision_id": first["decision_id"], "outcome": "replied", "occurred_at": NOON}
    engine.record_outcomes([OutcomeReport.model_validate(replied)])
    clock.now = NOON + timedelta(hours=1)
    assert not needs_template(ask(engine, "replies", "weekly_message"))


def test_an_answer_on_the_chat_to_who_wrote_elsewhere_opens_nothing(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    answered = [
        ask(engine, f"web-{n}", "chat_reply", channel=None, channels=["web", "whatsapp"])["channel"] for n in range(8)
    ]
    assert "whatsapp" in answered  # where we answered, which is not where they wrote
    assert all(needs_template(ask(engine, f"web-{n}", "weekly_message")) for n in range(8))
    places = [{"placement": "chat_reply", "channel": channel} for channel in ("web", "whatsapp")]
    asked = {"customer_id": "web-and-chat", "placements": places, "locale": "en"}
    engine.decide(DecisionRequest.model_validate(asked))  # a page and a chat at once: nobody says which they wrote in
    assert needs_template(ask(engine, "web-and-chat", "weekly_message"))


def test_a_reply_is_on_the_channel_of_what_it_answers(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    first = ask(engine, "in a list", "chat_reply", channel=None, channels=["web", "whatsapp"], limit=9)
    on = {slot["channel"]: number for number, slot in enumerate(first["slots"])}
    for channel, is_open in (("web", False), ("whatsapp", True)):
        replied = {"decision_id": first["decision_id"], "outcome": "replied", "occurred_at": NOON, "slot": on[channel]}
        engine.record_outcomes([OutcomeReport.model_validate(replied)])
        assert (not needs_template(ask(engine, "in a list", "weekly_message"))) is is_open


def test_a_dry_run_opens_nothing(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    ask(engine, "dry", "chat_reply", dry_run=True)
    assert needs_template(ask(engine, "dry", "weekly_message"))


def test_the_answer_carries_the_body_that_the_provider_takes(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    written = ask(engine, "format-1", "chat_reply", format="whatsapp")
    whatsapp_accepts(written["formatted"] | {"to": "66812345678"})
    assert written["message"]["body"] in str(written["formatted"])
    line_accepts(ask(engine, "format-2", "chat_reply", channel="line", format="line")["formatted"] | {"to": "U1"})
    first = ask(engine, "format-3", "weekly_message", format="whatsapp")
    assert first["formatted"]["type"] == "template"
    assert "formatted" not in ask(engine, "format-4", "chat_reply")


def test_every_slot_carries_its_own_body(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    told = ask(engine, "format-5", "chat_reply", format="whatsapp", limit=3)
    assert len(told["slots"]) == 3
    for slot in told["slots"]:
        whatsapp_accepts(slot["formatted"] | {"to": "66812345678"})
    assert len({str(slot["formatted"]) for slot in told["slots"]}) == 3


def test_the_neutral_body_is_given_on_every_channel(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    told = ask(engine, "format-6", "chat_reply", channel="web", format="neutral")
    assert told["formatted"] == told["message"]


def test_of_several_channels_the_one_that_is_taken_says_the_format(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    asked = {"channel": None, "channels": ["whatsapp", "line", "web"], "limit": 9, "format": "channel"}
    told = ask(engine, "format-9", "chat_reply", **asked)
    assert {slot["channel"] for slot in told["slots"]} == {"whatsapp", "line", "web"}
    for slot in told["slots"]:
        if slot["channel"] == "whatsapp":
            whatsapp_accepts(slot["formatted"] | {"to": "66812345678"})
        elif slot["channel"] == "line":
            line_accepts(slot["formatted"] | {"to": "U1"})
        else:
            assert slot["formatted"] == slot["message"]


def test_nothing_said_has_no_body(engine: Engine, clock: Clock) -> None:
    clock.now = NOON
    told = ask(engine, "format-7", "weekly_message", channel="email", format="email")  # consented to nothing
    assert (told["action"]["id"], told["formatted"]) == ("nothing", None)


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"channel": "web", "format": "whatsapp"}, "which names no format in brand.yaml"),
        ({"channel": "line", "format": "whatsapp"}, "which names the format 'line'"),
        ({"channel": None, "channels": ["whatsapp", "line"], "format": "line"}, "channel 'whatsapp'"),
    ],
)
def test_a_format_of_another_channel_is_refused(engine: Engine, asked: dict[str, Any], rule: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        ask(engine, "format-8", "chat_reply", **asked)
    (fault,) = refused.value.faults
    assert fault.pointer == "/format"
    assert rule in fault.detail
