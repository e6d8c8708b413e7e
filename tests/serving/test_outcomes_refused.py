"""What a decision cannot have had is refused, a person is told from a machine, a way out says what was written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.serving.joining_world import CHROME, World, a_joining_shop, problem_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(a_joining_shop(tmp_path_factory.mktemp("refused") / "shop"))
    yield world
    world.engine.close()


@pytest.fixture(autouse=True)
def another_day(world: World) -> None:
    world.clock.later(days=1)


@pytest.mark.parametrize(("limit", "slot", "says"), [(1, 1, "one action"), (2, 2, "from 0 to 1")])
def test_a_slot_that_the_decision_does_not_have_is_refused(world: World, limit: int, slot: int, says: str) -> None:
    told = world.decided("slots", limit=limit)
    good = {"decision_id": told["decision_id"], "outcome": "sent"}
    wrong = {"decision_id": told["decision_id"], "outcome": "converted", "slot": slot}
    unknown = {"decision_id": "nope", "outcome": "sent"}
    answer = world.send("POST", "/v1/outcomes", json=[good, wrong, unknown])
    assert answer.status_code == 422
    faults = {fault["pointer"]: fault["detail"] for fault in problem_of(answer)["errors"]}
    assert faults.keys() == {"/1/slot", "/2/decision_id"}
    assert says in faults["/1/slot"]
    assert world.send("POST", "/v1/outcomes", json=wrong).status_code == 422
    assert world.outcomes(told["decision_id"]) == []
    assert world.counts("nothing")[1] in (None, 0)


def test_a_person_s_report_after_a_machine_s_is_written_too(world: World) -> None:
    told = world.decided("proxied")
    opened = {"token": world.mint.token(told["decision_id"], 0, "open")}
    agents = ("GoogleImageProxy", "YahooMailProxy", CHROME, CHROME + " Edg/126.0")
    statuses = [world.report(opened | {"user_agent": agent})[0]["status"] for agent in agents]
    assert statuses == ["recorded", "duplicate", "recorded", "duplicate"]
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("opened", 1), ("opened", None)]


def test_a_person_who_comes_within_the_hour_of_a_scanner_that_followed_both_links_is_counted(world: World) -> None:
    told = world.decided("scanned", "weekly", "mail")
    link, item = told["message"]["link"]["url"], told["message"]["items"][0]["url"]
    assert world.press(link).status_code == 302
    world.clock.later(minutes=-1, seconds=0.3)
    world.press(item)
    world.press(link)
    assert world.outcomes(told["decision_id"], "is_machine") == [(1,), (1,), (None,)]
    query = "SELECT clicked_at IS NOT NULL FROM contacts WHERE decision_id = ?"
    assert world.rows(query, told["decision_id"]) == [(1,)]
    assert world.send("GET", f"/v1/decisions/{told['decision_id']}").json()["outcomes"] != []


def test_a_click_that_was_too_fast_is_not_led_on_with_a_token_that_counts_it(world: World) -> None:
    told = world.decided("hasty", "weekly", "mail")
    world.clock.later(minutes=-1, seconds=1)
    assert "rapport_token" not in world.press(told["message"]["link"]["url"]).headers["location"]
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("clicked", 1)]


def test_a_page_that_a_machine_looks_at_is_no_click_of_the_person_who_comes_after(world: World) -> None:
    told = world.decided("looked")
    page = {"url": f"https://shop.example/?rapport_token={world.mint.token(told['decision_id'], 0, 'link')}"}
    for agent in ("Mozilla/5.0 HeadlessChrome/120", CHROME):
        world.clock.later(minutes=1)
        body = {"type": "page", "userId": "looked", "context": {"page": page, "userAgent": agent}}
        assert world.send("POST", "/v1/batch", json={"batch": [body]}).status_code == 202
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("clicked", 1), ("clicked", None)]


def test_the_way_out_of_a_decision_that_is_not_there_says_so(world: World) -> None:
    token = world.mint.token("another-workspace-1", 0, "unsubscribe")
    answer = world.send("POST", f"/u/{token}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "you are not unsubscribed. Please write to" in answer.text
    german = world.send("POST", f"/u/{token}", headers={"accept-language": "de"})
    assert "du bist nicht abgemeldet" in german.text


def test_the_way_out_of_somebody_erased_says_that_nothing_is_held(world: World) -> None:
    told = world.decided("erased", "weekly", "mail")
    assert world.send("DELETE", "/v1/customers/erased").status_code in (200, 202)
    answer = world.send("POST", told["message"]["unsubscribe_url"])
    assert answer.status_code == 200
    assert "holds nothing of you" in answer.text
    assert "You are unsubscribed" not in answer.text


def test_an_outcome_before_its_decision_is_refused_and_of_a_live_event_flagged(world: World) -> None:
    told, before = world.decided("early"), world.counts("hello")
    decided = world.clock.now
    report = {"decision_id": told["decision_id"], "outcome": "clicked"}
    wrong = report | {"occurred_at": (decided - timedelta(minutes=6)).isoformat()}
    answer = world.send("POST", "/v1/outcomes", json=wrong)
    assert answer.status_code == 422
    assert problem_of(answer)["errors"][0]["pointer"] == "/occurred_at"
    world.report(report | {"occurred_at": (decided - timedelta(minutes=4)).isoformat()})
    given = {"order_id": "early-1", "total": 5.0, "rapport_token": world.mint.token(told["decision_id"], 0, "link")}
    world.track("Order Completed", "early", properties=given, timestamp=(decided - timedelta(hours=1)).isoformat())
    at = int(decided.timestamp() * 1_000_000)
    assert world.outcomes(told["decision_id"], "outcome, is_late, occurred_at") == [
        ("clicked", None, at),
        ("converted", 1, at - 3_600_000_000),
    ]
    assert world.counts("hello") == before
