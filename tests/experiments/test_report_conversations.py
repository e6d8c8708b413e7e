"""Where conversations end, counted by hand."""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from experiments.report import report_html
from experiments.report.conversations import STEPS_SHOWN, Flow, Step, read_conversations
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import EventLog
from features.lake import Lake
from features.starting import write_starter
from features.workspace import Workspace

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_numbers = itertools.count()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def a_conversation(*steps: str | None, days_ago: float = 3.0) -> list[dict[str, Any]]:
    """One event a step, a minute apart; a step that is None is something said outside any."""
    name, start = f"conversation-{next(_numbers)}", NOW - timedelta(days=days_ago)
    return [
        {
            "event_id": f"{name}-{n}",
            "customer_key": 1,
            "event": "Question Answered",
            "occurred_at": start + timedelta(minutes=n),
            "received_at": start + timedelta(minutes=n),
            "conversation_id": name,
            "step": step,
        }
        for n, step in enumerate(steps)
    ]


def into_log(workspace: Workspace, *conversations: list[dict[str, Any]]) -> None:
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([event for one in conversations for event in one])


def into_lake(workspace: Workspace, *conversations: list[dict[str, Any]]) -> None:
    rows = [{"backfilled": True} | event for one in conversations for event in one]
    for row in rows:
        row |= {name: row[name].replace(tzinfo=None) for name in ("occurred_at", "received_at")}
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))


def test_without_conversations_there_is_nothing_and_the_page_says_how_to_send_them(workspace: Workspace) -> None:
    assert read_conversations(workspace, as_of=NOW) is None
    assert "No conversation with named steps has ended yet" in report_html(workspace)


def test_each_step_says_how_many_came_and_how_many_stopped(workspace: Workspace) -> None:
    into_lake(
        workspace,
        a_conversation("hello", "need", "offer"),
        a_conversation("hello", "need"),
    )
    into_log(
        workspace,
        a_conversation("hello", None),
        a_conversation("hello", "need", "hello", "need", "offer"),  # went back once: each step counts once
    )
    found = read_conversations(workspace, as_of=NOW)
    assert found is not None
    assert (found.n_ended, found.n_open) == (4, 0)
    assert found.steps == (Step("hello", 4, 1), Step("need", 3, 1), Step("offer", 2, 2))
    assert [step.left_rate for step in found.steps] == [1 / 4, 1 / 3, 2 / 2]


def test_channels_are_told_apart_and_who_reached_a_goal_has_finished(workspace: Workspace) -> None:
    web, line, ordered = a_conversation("hello", "offer"), a_conversation("sawasdee"), a_conversation("hello", "offer")
    web[0] |= {"channel": "web"}
    line[0] |= {"channel": "line"}
    ordered[0] |= {"channel": "web"}
    ordered[1] |= {"event": "Order Completed"}
    into_lake(workspace, ordered)
    into_log(workspace, web, line)
    found = read_conversations(workspace, as_of=NOW)
    assert found is not None
    assert found.flows == (
        Flow("web", 2, 1, (Step("hello", 2, 0), Step("offer", 2, 1))),
        Flow("line", 1, 0, (Step("sawasdee", 1, 1),)),
    )


def test_one_that_may_still_go_on_is_open_and_an_old_one_is_left_out(workspace: Workspace) -> None:
    into_log(
        workspace,
        a_conversation("hello", "need"),
        a_conversation("hello", days_ago=0.5),
        a_conversation("hello", "need", days_ago=100),
        a_conversation("hello", days_ago=-1),  # it has not happened yet
        a_conversation(None),
    )
    found = read_conversations(workspace, as_of=NOW)
    assert found is not None
    assert (found.n_ended, found.n_open) == (1, 1)
    assert found.steps == (Step("hello", 1, 0), Step("need", 1, 1))


def test_an_event_that_was_taken_into_the_lake_counts_once(workspace: Workspace) -> None:
    from features.sync import sync

    into_log(workspace, a_conversation("hello", "need"))
    before = read_conversations(workspace, as_of=NOW)
    sync(workspace, now=NOW)
    assert Lake(workspace.lake).n_events() == 2
    assert read_conversations(workspace, as_of=NOW) == before


def test_many_names_of_steps_do_not_make_the_page_endless_and_no_name_is_markup(workspace: Workspace) -> None:
    n = STEPS_SHOWN + 5
    start = datetime.now(UTC) - timedelta(days=3)
    steps = [f"<b>step {k:02}</b>" for k in range(n)]
    ago = (NOW - start) / timedelta(days=1)
    into_log(workspace, a_conversation(*steps, days_ago=ago), a_conversation(*steps[:STEPS_SHOWN], days_ago=ago))
    page = report_html(workspace)
    assert "<b>step" not in page
    assert page.count("&lt;b&gt;step") == STEPS_SHOWN
    assert "5 further steps" in page


@pytest.mark.parametrize(
    ("locale", "words"), [("en", "Where conversations end"), ("hi", "बातचीत कहाँ रुकती है"), ("th", "บทสนทนาจบลงตรงไหน")]
)
def test_the_page_has_the_section_in_every_language(workspace: Workspace, locale: str, words: str) -> None:
    assert words in report_html(workspace, locale=locale)
