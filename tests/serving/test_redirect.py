"""Links, pictures and ways out: a person's count exactly for their decision, machines and forgeries for nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from time import sleep
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from ulid import ULID

from features.database import connect
from tests.serving.joining_world import PUBLIC, SHOP, World, a_joining_shop, problem_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(a_joining_shop(tmp_path_factory.mktemp("redirect") / "shop"))
    yield world
    world.engine.close()


@pytest.fixture(autouse=True)
def another_day(world: World) -> None:
    world.clock.later(days=1)


def link_of(told: dict[str, Any]) -> str:
    return str(told["message"]["link"]["url"])


def test_a_click_joins_its_decision_and_leads_to_the_shop(world: World) -> None:
    told = world.decided("ann")
    answer = world.press(link_of(told))
    assert answer.status_code == 302
    led_to = urlsplit(answer.headers["location"])
    assert (led_to.netloc, led_to.path) == ("shop.example", "/sale")
    query = parse_qs(led_to.query)
    assert query["size"] == ["2"]
    said = world.mint.read(query["rapport_token"][0])  # the shop's own events bring it back
    assert said is not None
    assert said.decision_id == told["decision_id"]
    assert world.outcomes(told["decision_id"]) == [("clicked", "token")]


def test_a_link_that_is_pressed_again_within_the_hour_is_one_click(world: World) -> None:
    told = world.decided("ann")
    for _ in range(3):
        assert world.press(link_of(told)).status_code == 302
    assert len(world.outcomes(told["decision_id"])) == 1
    world.clock.later(hours=2)
    world.press(link_of(told))
    assert len(world.outcomes(told["decision_id"])) == 2


def test_an_item_of_a_bundle_leads_to_itself(world: World) -> None:
    told = world.decided("ann")
    answer = world.press(told["message"]["items"][0]["url"])
    assert answer.headers["location"].startswith("https://shop.example/soap?rapport_token=")


@pytest.mark.parametrize(
    ("user_agent", "headers"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", {}),
        ("facebookexternalhit/1.1;line-poker/1.0", {}),
        ("", {}),
        ("Mozilla/5.0 (X11; Linux x64) Chrome/126.0 Safari/537.36", {"sec-purpose": "prefetch"}),
    ],
)
def test_a_machine_is_led_on_marked_and_not_counted(world: World, user_agent: str, headers: dict[str, str]) -> None:
    told = world.decided("ann")
    answer = world.press(link_of(told), user_agent=user_agent, **headers)
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("clicked", 1)]
    assert world.rows("SELECT clicked_at FROM contacts WHERE decision_id = ?", told["decision_id"]) == [(None,)]
    view = f"/v1/decisions/{told['decision_id']}"
    assert world.send("GET", view).json()["outcomes"] == []
    world.press(link_of(told))  # the person comes in the same hour
    assert [one["outcome"] for one in world.send("GET", view).json()["outcomes"]] == ["clicked"]
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("clicked", 1), ("clicked", None)]
    assert world.rows("SELECT clicked_at IS NULL FROM contacts WHERE decision_id = ?", told["decision_id"]) == [(0,)]


def test_a_look_at_where_a_link_leads_changes_nothing(world: World) -> None:
    told = world.decided("ann")
    answer = world.press(link_of(told), method="HEAD")
    assert (answer.status_code, answer.headers["location"]) == (302, SHOP)
    assert world.outcomes(told["decision_id"]) == []


def test_whoever_clicks_a_mail_before_it_can_be_read_is_a_machine(world: World) -> None:
    told = world.decided("ann", "weekly", "mail")
    world.clock.later(hours=1)
    world.report({"decision_id": told["decision_id"], "outcome": "delivered"})
    world.clock.later(seconds=1, minutes=-1)
    world.press(link_of(told))
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("delivered", None), ("clicked", 1)]


def test_two_links_of_a_mail_within_a_second_are_followed_by_a_scanner(world: World) -> None:
    told = world.decided("ann", "weekly", "mail")
    world.press(link_of(told))
    world.clock.later(minutes=-1, seconds=0.4)
    world.press(told["message"]["items"][0]["url"])
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("clicked", 1), ("clicked", 1)]
    assert world.rows("SELECT clicked_at FROM contacts WHERE decision_id = ?", told["decision_id"]) == [(None,)]


def test_two_links_of_an_answer_may_be_pressed_fast(world: World) -> None:
    told = world.decided("ann")
    world.press(link_of(told))
    world.clock.later(minutes=-1, seconds=0.4)
    world.press(told["message"]["items"][0]["url"])
    assert world.outcomes(told["decision_id"], "is_machine") == [(None,), (None,)]


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("https://evil.example/", "evil.example"),
        ("https://shop.example@evil.example/", "evil.example"),
        ("//evil.example/", "no host of this brand"),
        ("javascript:alert(1)", "no host of this brand"),
        ("", "is missing"),
    ],
)
def test_the_redirect_leads_nobody_elsewhere(world: World, to: str, says: str) -> None:
    told = world.decided("ann")
    token = urlsplit(link_of(told)).path
    answer = world.press(f"{token}?to={quote(to, safe='')}")
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert says in problem_of(answer)["detail"]
    assert world.outcomes(told["decision_id"]) == []


def rewritten(world: World, catalogue: str) -> None:
    """Another catalogue is in use: one that has stood still on disk."""
    world.workspace.catalogue_file.write_text(catalogue)
    for _ in range(200):
        if world.engine.files.refresh():
            return
        sleep(0.02)
    raise AssertionError("the catalogue was not taken into use")


def test_a_link_already_sent_leads_on_when_no_action_names_its_host_any_more(world: World) -> None:
    told = world.decided("ann")
    before = world.workspace.catalogue_file.read_text()
    rewritten(world, before.replace("shop.example", "another.example"))
    try:
        for url in (link_of(told), told["message"]["items"][0]["url"]):
            answer = world.press(url)
            assert answer.status_code == 302
            assert urlsplit(answer.headers["location"]).netloc == "shop.example"
        assert world.press(f"{urlsplit(link_of(told)).path}?to=https://third.example/").status_code == 400
    finally:
        rewritten(world, before)


def test_a_host_of_brand_yaml_is_led_to_as_well(world: World) -> None:
    token = urlsplit(link_of(world.decided("ann"))).path
    answer = world.press(f"{token}?to=https://partner.example/x")
    assert answer.headers["location"].startswith("https://partner.example/x?rapport_token=")


@pytest.mark.parametrize("path", ["/r/{}?to=" + quote(SHOP, safe=""), "/o/{}.gif", "/u/{}"])
def test_a_forged_token_is_refused_and_nothing_is_written(world: World, path: str) -> None:
    before = world.n_outcomes()
    for token in ("forged", "A" * 43, "%00", "क" * 20):
        answer = world.press(path.format(token))
        assert answer.status_code == 404
        assert problem_of(answer)["status"] == 404
    assert world.n_outcomes() == before


def test_a_token_is_good_for_what_it_was_made_for(world: World) -> None:
    told = world.decided("ann")
    left = told["message"]["unsubscribe_url"].removeprefix(f"{PUBLIC}/u/")
    assert world.press(f"/o/{left}.gif").status_code == 404
    assert world.press(f"/r/{left}?to={quote(SHOP, safe='')}").status_code == 404
    assert world.outcomes(told["decision_id"]) == []


def test_a_link_of_a_decision_that_nobody_knows_any_more_leads_on_all_the_same(world: World) -> None:
    before = world.n_outcomes()
    token = world.mint.token(str(ULID()), 0, "link")
    answer = world.press(f"/r/{token}?to={quote(SHOP, safe='')}")
    assert answer.status_code == 302
    assert world.n_outcomes() == before


def test_a_customer_is_led_on_while_nothing_can_be_written(world: World) -> None:
    told = world.decided("ann")
    with connect(world.workspace.database) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        assert world.press(link_of(told)).status_code == 302
        other.execute("ROLLBACK")
    other.close()
    assert world.outcomes(told["decision_id"]) == []


def test_the_picture_says_that_a_mail_was_opened(world: World) -> None:
    told = world.decided("ann", "weekly", "mail")
    answer = world.press(told["message"]["open_url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert answer.headers["cache-control"].startswith("no-store")
    world.press(told["message"]["open_url"], user_agent="Mozilla/5.0")  # Apple's proxy
    assert world.outcomes(told["decision_id"], "outcome, is_machine") == [("opened", None), ("opened", 1)]


def test_a_scanner_that_follows_the_way_out_unsubscribes_nobody(world: World) -> None:
    told = world.decided("ann", "weekly", "mail")
    answer = world.press(told["message"]["unsubscribe_url"], **{"accept-language": "xx, th;q=0.8, en;q=0.5"})
    assert answer.status_code == 200
    assert "ยกเลิกการรับข้อความ</button>" in answer.text
    assert "src=" not in answer.text
    assert world.outcomes(told["decision_id"]) == []


def test_one_click_leaves_the_channel_of_that_message(world: World) -> None:
    told = world.decided("leaver", "weekly", "mail")
    assert told["action"]["id"] == "hello"
    answer = world.send(
        "POST",
        told["message"]["unsubscribe_url"],
        content="List-Unsubscribe=One-Click",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    assert "You are unsubscribed." in answer.text
    assert world.outcomes(told["decision_id"]) == [("unsubscribed", "token")]
    world.clock.later(minutes=1)
    again = world.decided("leaver", "weekly", "mail")
    assert {one["rule"] for one in again["suppressed"]} >= {"unsubscribed"}
    assert again["action"]["id"] == "nothing"


def test_without_a_public_address_the_shop_gets_the_token_and_the_server_no_addresses(world: World) -> None:
    world.engine.stamper.public_url = None
    try:
        told = world.decided("ann")
    finally:
        world.engine.stamper.public_url = PUBLIC
    assert link_of(told).startswith("https://shop.example/sale?size=2&rapport_token=")
    assert (told["message"]["open_url"], told["message"]["unsubscribe_url"]) == ("", "")


def test_a_click_of_an_erased_customer_leads_on_and_is_written_of_nobody(world: World) -> None:
    told = world.decided("gone")
    assert world.send("DELETE", "/v1/customers/gone").status_code in (200, 202)
    before = world.n_outcomes()
    assert world.press(link_of(told)).status_code == 302
    assert world.n_outcomes() == before


def test_a_broken_ledger_says_so_to_whoever_leaves(world: World) -> None:
    told = world.decided("ann", "weekly", "mail")
    with sqlite3.connect(world.workspace.database) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        answer = world.send("POST", told["message"]["unsubscribe_url"])
        other.execute("ROLLBACK")
    other.close()
    assert answer.status_code == 503
    assert world.outcomes(told["decision_id"]) == []
