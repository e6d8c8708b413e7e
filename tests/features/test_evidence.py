"""What customers say is evidence: it decays, is superseded, is withdrawn, and may be contradicted by what they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.brand import Brand, Trait, load_brand
from features.checking import check_workspace
from features.contradictions import (
    ContradictionRules,
    by_categories,
    by_expression,
    contradiction_rules,
    quantile,
)
from features.database import connect
from features.event_log import EventLog
from features.evidence import TraitEvidence, evidence_of
from features.persons import SCHEMA
from features.snapshots import build_snapshot
from features.texts import write_text
from features.workspace import Workspace

Event = dict[str, Any]
Make = Callable[..., Event]


@pytest.fixture
def said(a_workspace: Callable[..., Workspace], noon: datetime) -> Callable[..., dict[str, TraitEvidence]]:
    """The evidence for a customer of whom some events are in the lake and some in the log, by trait."""

    def read(lake: list[Event], log: list[Event] | None = None) -> dict[str, TraitEvidence]:
        workspace = a_workspace(lake)
        with closing(connect(workspace.database)) as connection:
            EventLog(connection).append(log or [])
            found = evidence_of(workspace, connection, [1], brand=load_brand(workspace), at=noon)
        return {one.name: one for one in found}

    return read


@pytest.fixture
def answered(an_event: Make) -> Make:
    def make(answer: str | None, days_ago: float, *, trait: str = "skin_need", **told: Any) -> Event:
        properties = json.dumps(told) if told else None
        return an_event(1, "Question Answered", days_ago=days_ago, trait=trait, answer=answer, properties=properties)

    return make


def test_an_answer_is_worth_half_after_its_half_life(said: Callable[..., Any], answered: Make) -> None:
    assert said([answered("acne", 120)])["skin_need"].confidence == 0.5  # half_life_days of skin_need
    assert said([answered("acne", 240)])["skin_need"].confidence == 0.25
    assert said([answered("acne", 0)])["skin_need"].confidence == 1.0


def test_question_channel_purpose_notice_and_locale_stand_beside_the_value(
    said: Callable[..., Any], answered: Make
) -> None:
    told = {"question": "What does your skin need?", "notice_version": "2026-01", "locale_shown": "hi"}
    event = answered("acne", 3, **told) | {"channel": "whatsapp", "conversation_id": "c1", "step": "need"}
    statement = said([], [event])["skin_need"].statement
    assert (statement.value, statement.question) == ("acne", "What does your skin need?")
    assert (statement.channel, statement.purpose, statement.notice_version) == (
        "whatsapp",
        "personalisation",
        "2026-01",
    )
    assert (statement.locale_shown, statement.conversation_id, statement.step) == ("hi", "c1", "need")


def test_an_identify_call_tells_its_evidence_once_for_all_its_traits(said: Callable[..., Any], an_event: Make) -> None:
    traits = {"skin_need": "acne", "income": 5, "_told": {"notice_version": "7", "purpose": "personalisation"}}
    found = said([an_event(1, "identify", properties=json.dumps(traits), channel="web")])
    assert {name: (one.statement.value, one.statement.notice_version) for name, one in found.items()} == {
        "skin_need": ("acne", "7"),
        "income": (5.0, "7"),
    }


def test_earlier_answers_are_superseded_wherever_they_lie(said: Callable[..., Any], answered: Make) -> None:
    found = said([answered("acne", 30), answered("dryness", 10)], [answered("dullness", 20)])["skin_need"]
    assert found.statement.value == "dryness"
    assert [one.value for one in found.superseded] == ["dullness", "acne"]


def test_an_answer_that_is_no_choice_is_no_evidence(said: Callable[..., Any], answered: Make) -> None:
    assert said([answered("hunger", 1)]) == {}


def test_what_a_customer_takes_back_is_not_told_again(said: Callable[..., Any], answered: Make, noon: datetime) -> None:
    found = said([answered("acne", 30), answered(None, 10)])["skin_need"]
    assert (found.withdrawn_by, found.withdrawn_at, found.confidence) == ("customer", noon - timedelta(days=10), None)
    assert [one.value for one in (found.statement, *found.superseded)] == [None, None]
    again = said([answered("acne", 30), answered(None, 10), answered("dryness", 5)])["skin_need"]
    assert (again.statement.value, [one.value for one in again.superseded]) == ("dryness", [None, None])


def test_a_withdrawn_purpose_withdraws_its_traits_until_it_is_given_again(
    said: Callable[..., Any], answered: Make, an_event: Make, noon: datetime
) -> None:
    purpose = '{"purpose":"personalisation"}'
    stop = an_event(1, "Consent Withdrawn", days_ago=5, properties=purpose)
    found = said([answered("acne", 30)], [stop])["skin_need"]
    assert (found.withdrawn_by, found.withdrawn_at) == ("purpose", noon - timedelta(days=5))
    assert (found.statement.value, found.confidence) == (None, None)
    other = an_event(1, "Consent Withdrawn", days_ago=5, properties='{"purpose":"marketing"}')
    assert said([answered("acne", 30)], [other])["skin_need"].withdrawn_by is None
    given = an_event(1, "Consent Given", days_ago=2, properties=purpose)
    assert said([answered("acne", 30), stop, given])["skin_need"].statement.value == "acne"


def test_free_text_comes_from_its_own_table(a_workspace: Callable[..., Workspace], noon: datetime) -> None:
    workspace = a_workspace()
    brand = load_brand(workspace)
    brand = brand.model_copy(update={"traits": brand.traits | {"wish": Trait(kind="need", type="text")}})
    said_at = int((noon - timedelta(days=365)).timestamp() * 1e6)
    with closing(connect(workspace.database)) as connection:
        for event_id, value in (("t1", "a quiet evening"), ("t1", "a quiet evening"), ("t2", "rain")):
            write_text(
                connection,
                customer_key=1,
                trait="wish",
                value=value,
                event_id=event_id,
                said_at_us=said_at + int(event_id[1]),
                question="What do you wish for?",
            )
        (found,) = evidence_of(workspace, connection, [1], brand=brand, at=noon)
    assert (found.statement.value, found.statement.question) == ("rain", "What do you wish for?")
    assert [one.value for one in found.superseded] == ["a quiet evening"]
    assert found.confidence == pytest.approx(0.5)


# -- contradictions -----------------------------------------------------------------------------------------------

TEA = Trait(kind="interest", type="choices", choices=("black", "green", "herbal"), labels={"herbal": {"en": "Tisanes"}})


def products(make: Make, *categories: str, event: str = "Product Viewed", days_ago: float = 5) -> pa.Table:
    rows = [
        make(1, event, days_ago=days_ago, products=[{"product_id": "p", "category": category}])
        for category in categories
    ]
    naive = [row | {name: row[name].replace(tzinfo=None) for name in ("occurred_at", "received_at")} for row in rows]
    return pa.Table.from_pylist(naive, schema=SCHEMA)


@pytest.fixture(scope="module")
def brand(starter: tuple[Workspace, Brand]) -> Brand:
    return starter[1]


def test_an_interest_is_contradicted_by_products_of_other_choices_for_any_brand(
    an_event: Make, brand: Brand, noon: datetime
) -> None:
    seen = products(an_event, "Green", "green", "tisanes", "teapots")
    found = by_categories(TEA, ["black"], seen, brand=brand, at=noon)
    assert found is not None
    assert found.found == {"n_products": 3, "n_declared": 0, "by_choice": {"green": 2, "herbal": 1}}
    assert "none is black: 2 green, 1 herbal" in found.says


@pytest.mark.parametrize(
    ("categories", "declared", "days_ago"),
    [
        (("green", "green"), ["black"], 5),  # too few to say anything
        (("green", "green", "green"), ["black"], 400),  # too long ago
        (("green", "green", "black"), ["black"], 5),  # a third is what was said
        (("teapots",) * 5, ["black"], 5),  # no choice is a category of these
        (("green",) * 5, ["black", "green"], 5),
    ],
)
def test_behaviour_that_says_nothing_else_contradicts_nothing(
    categories: tuple[str, ...], declared: list[str], days_ago: float, an_event: Make, brand: Brand, noon: datetime
) -> None:
    seen = products(an_event, *categories, days_ago=days_ago)
    assert by_categories(TEA, declared, seen, brand=brand, at=noon) is None


def test_the_starters_price_preference_is_contradicted_by_where_a_customer_stands_among_everyone(
    starter: tuple[Workspace, Brand],
) -> None:
    rules = contradiction_rules(*starter)
    high = {"price_preference": "value", "price_mean_quantile": 0.9}
    found = by_expression("price_preference", rules, high)
    assert found is not None
    assert found.says.endswith("price_mean_quantile = 0.9, price_preference = value.")
    assert by_expression("price_preference", rules, high | {"price_mean_quantile": 0.5}) is None
    assert by_expression("price_preference", rules, {"price_preference": "value"}) is None  # nobody knows the price
    assert by_expression("skin_need", rules, high) is None
    assert isinstance(rules, ContradictionRules)


def test_a_quantile_counts_half_of_the_equals(
    a_workspace: Callable[..., Workspace], an_order: Make, noon: datetime
) -> None:
    orders = [
        an_order(key, days_ago=9, products=[{"product_id": "p", "quantity": 1.0, "price": price}])
        for key, price in enumerate((10.0, 20.0, 20.0, 40.0), start=1)
    ]
    workspace = a_workspace(orders)
    assert quantile(workspace, "price_mean", 20.0) is None  # before there is a snapshot
    path = build_snapshot(workspace, noon)
    assert pq.read_table(path)["price_mean"].to_pylist() == [10.0, 20.0, 20.0, 40.0]
    assert quantile(workspace, "price_mean", 20.0) == (1 + 2 / 2) / 4
    assert quantile(workspace, "price_mean", 50.0) == 1.0
    assert quantile(workspace, "no_such_feature", 1.0) is None


def test_a_contradiction_that_names_what_does_not_exist_is_a_fault_with_its_line(
    a_workspace: Callable[..., Workspace],
) -> None:
    workspace = a_workspace()
    text = workspace.brand_file.read_text("utf-8")
    workspace.brand_file.write_text(text.replace("price_mean_quantile > 0.8", "price_mean_quantil > 0.8"), "utf-8")
    report = check_workspace(workspace)
    ((path, fault),) = report.faults
    assert (path, fault.where, fault.closest) == (
        workspace.brand_file,
        "traits.price_preference.contradicted_by",
        "price_mean_quantile",
    )
    assert fault.line is not None
    assert report.status == "FAIL"
