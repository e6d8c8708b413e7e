"""What the answer says of itself, and the page that a marketer reads, over HTTP and in a real browser."""

from __future__ import annotations

import asyncio
import html
import math
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from features.database import connect
from features.erased_rows import erase_rows
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.engine import Engine
from serving.explaining.conditions import Named
from serving.explaining.explanation import Explainer
from serving.explaining.page import decision_page
from serving.explaining.suppressed import why_suppressed
from serving.http import build_app
from serving.keys.scopes import needed_scope
from serving.replaying.recreating import recorded
from serving.schemas import DecisionRequest, OutcomeReport
from tests.pages import OVERFLOWING, browser_of, wrongly_shown
from tests.serving.conftest import starter
from tests.serving.tiny_models import promote_next_purchase, promote_segments

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return starter(tmp_path_factory.mktemp("explaining") / "shop")


@pytest.fixture(scope="module")
def engine(workspace: Workspace) -> Iterator[Engine]:
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as engine:
        promote_segments(workspace.artifacts, engine.schema)
        promote_next_purchase(workspace.artifacts, engine.schema)
        yield engine


def asked(engine: Engine, customer_id: str, **changes: object) -> dict[str, Any]:
    body = {"customer_id": customer_id, "placement": "chat_reply", "channel": "web", "locale": "en"} | changes
    return engine.decide(DecisionRequest.model_validate(body))


@pytest.fixture(scope="module")
def regular(engine: Engine) -> str:
    """A customer with three orders who is not held out."""
    customer = next(name for name in (f"p-{n}" for n in range(100)) if not asked(engine, name)["holdout"])
    key = engine.key_of(customer)
    at = [NOON - timedelta(days=10 * n + 1) for n in range(3)]
    orders = [
        {
            "event_id": f"order-{n}",
            "customer_key": key,
            "event": "Order Completed",
            "occurred_at": when,
            "received_at": when,
            "order_id": f"o-{n}",
            "total": 500.0,
            "currency": "INR",
        }
        for n, when in enumerate(at)
    ]
    engine.online.log.append(orders)
    assert key is not None
    engine.online.refresh([key], now=NOON)
    return customer


def page(engine: Engine, decision_id: str) -> httpx.Response:
    app = build_app()
    app.state.engine = engine

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
            return await client.get(f"/decisions/{decision_id}")

    return asyncio.run(ask())


def test_the_values_of_an_answer_are_taken_apart_into_parts_that_sum_to_them(engine: Engine, regular: str) -> None:
    told = asked(engine, regular, explain=True)
    values = {one["action_id"]: one for one in told["explanation"]["values"]}
    assert {one["action_id"] for one in told["ranking"]} == set(values)
    for one in values.values():
        assert math.fsum(part["amount"] for part in one["parts"]) == pytest.approx(one["value"], abs=5e-6)
        amounts = [one["value"], *(part["amount"] for part in one["parts"])]
        assert amounts == [round(amount, 6) for amount in amounts]
        assert all(part["in_words"] for part in one["parts"])
    incentives = [part for one in values.values() for part in one["parts"] if part["name"] == "incentive"]
    assert incentives
    assert all("would buy anyway" in part["in_words"] for part in incentives)


def test_whoever_was_explained_before_a_decision_is_explained_as_if_it_were_the_first(engine: Engine) -> None:
    stock = engine.stock
    for customer in ("anew", "regular", "anew", "another"):
        told = asked(engine, customer, explain=True)
        record = recorded(engine.reader, told["decision_id"]).record
        fresh = Explainer(stock.brand, stock.catalogue, stock.schema)
        assert told["explanation"]["values"] == fresh.values(record, are_told=True)
        assert stock.explainer.values(record) == fresh.values(record)


def test_the_propensity_of_an_answer_is_taken_apart_exactly(engine: Engine, regular: str) -> None:
    told = asked(engine, regular, explain=True)
    why = told["explanation"]["propensity"]
    assert why["horizon_days"] == 30
    assert why["probability"] == pytest.approx(told["purchase_propensity"]["30d"], abs=1e-6)
    parts = math.fsum(one["contribution"] for one in why["contributions"])
    assert why["base"] + parts == pytest.approx(why["score"], abs=1e-9)
    assert why["contributions"][0]["name"] == "n_orders"
    assert "more likely" in why["contributions"][0]["in_words"]


def test_of_a_stranger_no_propensity_is_explained(engine: Engine) -> None:
    assert asked(engine, "stranger", explain=True)["explanation"]["propensity"] is None


def test_what_was_kept_away_is_said_in_a_sentence(engine: Engine, regular: str) -> None:
    told = asked(engine, regular, explain=True)
    away = told["explanation"]["kept_away"]
    assert {one["action_id"] for one in away} == {one["action_id"] for one in told["suppressed"]}
    assert all(one["in_words"].endswith(".") for one in away)


def test_a_condition_is_told_in_words_with_the_expression_beside_it(engine: Engine, regular: str) -> None:
    told = asked(engine, regular, explain=True)
    (away,) = [one for one in told["explanation"]["kept_away"] if one["rule"] == "when"][:1]
    action = next(one for one in engine.stock.catalogue.actions if one.id == away["action_id"])
    assert away["condition"] == action.when
    assert away["in_words"].startswith("It may be offered only where the ")
    assert str(action.when) not in away["in_words"]
    shown = html.unescape(page(engine, told["decision_id"]).text)
    assert away["in_words"] in shown
    assert f"<code>{action.when}</code>" in shown


def test_what_a_condition_needs_and_nobody_knows_is_named_in_words(engine: Engine) -> None:
    told = asked(engine, "somebody-new", explain=True)
    away = [one for one in told["explanation"]["kept_away"] if one["rule"] == "when_unknown"]
    assert away
    assert all("Of this customer nobody knows the " in one["in_words"] for one in away)
    assert all("_" not in one["in_words"] for one in away)


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        (
            "slot_unknown: need",
            "It cannot be said here: nobody knows what to write for 'need'. "
            "That changes when what we know of the customer does.",
        ),
        ("empty_text: the body", "It cannot be said here: the body would be empty."),
        (
            "outside_session_window",
            "It cannot be said here: no chat session is open, and it has no approved template for here.",
        ),
        ("an address of another kind", "It cannot be said here: an address of another kind."),
    ],
)
def test_why_something_cannot_be_said_is_told_in_words(detail: str, told: str) -> None:
    suppressed = {"rule": "not_renderable", "detail": detail}
    assert why_suppressed(suppressed, time_zone="UTC", condition="", names=Named) == told


def test_what_was_kept_away_is_not_valued_and_the_only_one_left_is_not_called_the_best(
    engine: Engine, regular: str
) -> None:
    told = asked(engine, regular, placement="weekly_message", channel="email", explain=True)
    assert {one["rule"] for one in told["suppressed"]} >= {"no_consent"}
    (only,) = told["explanation"]["values"]
    assert (only["action_id"], only["probability"]) == ("nothing", 1.0)
    assert {one["action_id"] for one in told["explanation"]["kept_away"]} >= {"bestsellers"}
    assert "'nothing' was taken with probability 1.000: the only one that may be said." in told["reasons"]
    shown = page(engine, told["decision_id"]).text
    assert "Nothing was taken: the only one that may be said." in shown


def test_every_place_of_an_answer_explains_itself(engine: Engine, regular: str) -> None:
    places = [{"placement": "chat_reply", "channel": "web"}, {"placement": "chat_reply", "channel": "whatsapp"}]
    told = asked(engine, regular, placement=None, channel=None, placements=places, explain=True)
    assert all(one["explanation"]["values"] for one in told["decisions"])


def test_the_page_says_what_was_said_and_why_and_that_it_can_be_made_once_more(engine: Engine, regular: str) -> None:
    told = asked(engine, regular)
    engine.record_outcomes([OutcomeReport(decision_id=told["decision_id"], outcome="converted", value=900.0)])
    answered = page(engine, told["decision_id"])
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/html")
    body = answered.text
    assert told["message"]["body"].split("\n")[0][:30] in body.replace("&#39;", "'").replace("&amp;", "&")
    assert "byte for byte" in body
    assert "Regulars" in body
    assert "Converted (order), ₹900" in body
    assert "(taken)" in body
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in body.replace("&#39;", "'")


def test_the_page_of_an_unknown_decision_is_a_problem_and_needs_a_key_to_read(engine: Engine) -> None:
    answered = page(engine, "nobody-decided-this")
    assert answered.status_code == 404
    assert answered.json()["errors"][0]["pointer"] == "/decision_id"
    assert needed_scope("GET", "/decisions/x") == "read"


def test_a_page_that_cannot_be_made_is_not_said_to_be_of_no_decision(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise CallersMistake("The template of this page is broken.")

    told = asked(engine, "broken-page")
    monkeypatch.setattr("serving.explaining.page.rendered", broken)
    with pytest.raises(CallersMistake, match="is broken"):  # ours, and no 404
        page(engine, told["decision_id"])


def test_what_the_marketer_wrote_cannot_break_out_of_the_page(engine: Engine) -> None:
    told = asked(engine, "<script>alert(1)</script>")
    assert "<script>" not in page(engine, told["decision_id"]).text


def test_the_page_of_an_erased_customer_says_so(engine: Engine, workspace: Workspace) -> None:
    told = asked(engine, "leaves")
    key = engine.key_of("leaves")
    assert key is not None
    with closing(connect(workspace.database)) as connection, connection:
        erase_rows(connection, [key], ids=["leaves"])
    assert decision_page(workspace, told["decision_id"]) is None
    assert "was erased" in page(engine, told["decision_id"]).text


def test_the_page_shows_itself_in_a_browser_and_asks_for_nothing(
    engine: Engine, workspace: Workspace, regular: str, chromium: str
) -> None:
    decisions = [
        asked(engine, regular, limit=3),
        asked(engine, "new-here", locale="th"),
        asked(engine, "x", locale="hi"),
    ]
    with browser_of(chromium) as browser:
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        requests: list[str] = []
        complaints: list[str] = []
        shown.on("request", lambda request: requests.append(request.url))
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        for told in decisions:
            html = decision_page(workspace, told["decision_id"])
            assert html is not None
            path = workspace.root / "page.html"
            path.write_text(html, encoding="utf-8")
            for width in (1280, 380):
                shown.set_viewport_size({"width": width, "height": 900})
                shown.goto(path.as_uri())
                assert shown.locator("h2").count() == 8
                assert shown.evaluate(OVERFLOWING) == 0
                shown.screenshot(path=str(workspace.root / f"page-{width}.png"), full_page=True)
            assert wrongly_shown(browser, path.as_uri()) == []
    assert set(requests) == {(workspace.root / "page.html").as_uri()}
    assert complaints == []
