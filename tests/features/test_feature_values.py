"""The features of a tiny world whose truth a human can see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from features.aggregation import Sources, aggregate
from features.brand import Brand, load_brand
from features.contract import EVENT_SCHEMA
from features.lake import Lake
from features.schema import feature_schema
from features.workspace import Workspace

Row = dict[str, Any]


@pytest.fixture(scope="module")
def row_of(starter: tuple[Workspace, Brand], events_table: Callable[..., Any], noon: datetime) -> Callable[..., Row]:
    """The row of customer 1 on 2024-06-01 at noon."""
    workspace, brand = starter
    schema = feature_schema(brand, workspace)

    def compute(*events: Row) -> Row:
        sources = Sources(Lake(workspace.lake), log=events_table(events), customers=(1,))
        rows = next(iter(aggregate(sources, [noon], brand=brand, schema=schema))).to_pylist()
        return next(row for row in rows if row["customer_key"] == 1)

    return compute


def test_orders_are_counted_over_half_open_windows(row_of: Callable[..., Row], an_order: Callable[..., Row]) -> None:
    row = row_of(*(an_order(1, days_ago=days, total=total) for days, total in [(7, 10.0), (7.001, 20.0), (400, 40.0)]))
    assert (row["n_orders_7d"], row["n_orders_30d"], row["n_orders_365d"], row["n_orders"]) == (1, 2, 2, 3)
    assert (row["revenue_7d"], row["revenue_30d"], row["revenue"]) == (10, 10 + 20, 10 + 20 + 40)
    assert row["mean_order_value_30d"] == (10 + 20) / 2
    assert row["mean_order_value"] == pytest.approx((10 + 20 + 40) / 3)


def test_two_events_of_one_order_are_one_order(row_of: Callable[..., Row], an_order: Callable[..., Row]) -> None:
    row = row_of(
        an_order(1, days_ago=3, total=50.0, order_id="twice"), an_order(1, days_ago=2, total=70.0, order_id="twice")
    )
    assert (row["n_orders"], row["revenue"]) == (1, 50)


def test_gaps_are_between_days_with_an_order(row_of: Callable[..., Row], an_order: Callable[..., Row]) -> None:
    row = row_of(*(an_order(1, days_ago=days) for days in (31, 30.9, 21, 1)))
    assert row["n_order_days"] == 3
    assert row["mean_gap_days"] == (10 + 20) / 2
    assert row["sd_gap_days"] == pytest.approx(((10 - 15) ** 2 + (20 - 15) ** 2) ** 0.5)


def test_a_gap_is_missing_before_the_second_order_day(row_of: Callable[..., Row], an_order: Callable[..., Row]) -> None:
    row = row_of(an_order(1))
    assert (row["mean_gap_days"], row["sd_gap_days"]) == (None, None)


def test_days_are_local_days(row_of: Callable[..., Row], an_order: Callable[..., Row], noon: datetime) -> None:
    # 18:00 and 19:00 UTC are 23:30 and 00:30 in Asia/Kolkata.
    evening = noon - timedelta(days=3) + timedelta(hours=6)
    row = row_of(an_order(1, occurred_at=evening), an_order(1, occurred_at=evening + timedelta(hours=1)))
    assert row["n_order_days"] == 2
    assert (row["order_share_evening"], row["order_share_night"]) == (1 / 2, 1 / 2)


def test_baskets_categories_and_prices(row_of: Callable[..., Row], an_order: Callable[..., Row]) -> None:
    lines = [
        {"product_id": "a", "category": "skincare", "quantity": 2.0, "price": 10.0},
        {"product_id": "b", "category": "skincare", "quantity": 1.0, "price": 40.0},
        {"product_id": "c", "category": "makeup", "quantity": 1.0, "price": 30.0},
        {"product_id": "d", "category": "skincare", "quantity": 1.0, "price": 20.0},
    ]
    row = row_of(an_order(1, products=lines[:3], total=None), an_order(1, products=lines[3:], total=None))
    assert row["revenue"] == 2 * 10 + 40 + 30 + 20
    assert (row["basket_size_mean"], row["basket_lines_mean"]) == ((4 + 1) / 2, (3 + 1) / 2)
    assert (row["price_min"], row["price_mean"], row["price_max"]) == (10, (10 + 40 + 30 + 20) / 4, 40)
    assert (row["top_category"], row["top_category_share"], row["second_category_share"]) == ("skincare", 0.75, 0.25)
    assert row["category_entropy"] == pytest.approx(0.5623, abs=1e-4)  # -(3/4 ln 3/4 + 1/4 ln 1/4)


def test_a_control_is_no_message(row_of: Callable[..., Row], an_event: Callable[..., Row]) -> None:
    sent = an_event(1, "Message Sent", days_ago=5, action_id="a", campaign="spring", channel="email")
    row = row_of(sent, an_event(1, "Message Sent", days_ago=2, action_id="nothing", campaign="summer"))
    assert (row["n_messages_sent"], row["last_campaign"], row["last_action_id"]) == (1, "spring", "a")
    assert row["last_message_at"] == sent["occurred_at"].replace(tzinfo=None)


def test_the_newest_statement_stands_and_null_withdraws(
    row_of: Callable[..., Row], an_event: Callable[..., Row]
) -> None:
    def answer(said: str | None, days_ago: float) -> Row:
        return an_event(1, "Question Answered", days_ago=days_ago, trait="skin_need", answer=said)

    assert row_of(answer("acne", 3), answer("dryness", 2))["declared"] == '{"skin_need":"dryness"}'
    assert row_of(answer("acne", 3), answer("purple", 2))["trait_skin_need"] == 1  # no choice: no evidence
    withdrawn = row_of(answer("acne", 3), answer(None, 2))
    assert (withdrawn["trait_skin_need"], withdrawn["trait_skin_need_at"]) == (None, None)


def test_traits_of_identify_calls_are_read_by_type(row_of: Callable[..., Row], an_event: Callable[..., Row]) -> None:
    said = '{"interests":["makeup","skincare","cars"],"birthday":"1990-02-03","income":50000,"locale":"hi","x":1}'
    row = row_of(an_event(1, "identify", properties=said))
    assert (row["trait_interests_makeup"], row["trait_interests_haircare"]) == (1, 0)
    assert row["trait_birthday"] == (datetime(1990, 2, 3) - datetime(1970, 1, 1)).days  # noqa: DTZ001
    assert (row["trait_income"], row["locale"], row["trait_skin_need"]) == (50_000, "hi", None)


def test_consents_stand_by_channel(row_of: Callable[..., Row], an_event: Callable[..., Row]) -> None:
    given = [an_event(1, "Consent Given", days_ago=9, channel=channel) for channel in ("email", "whatsapp")]
    assert row_of(*given)["consents"] == '["email","whatsapp"]'
    one = an_event(1, "Consent Withdrawn", days_ago=5, channel="email", properties='{"purpose":"marketing"}')
    assert row_of(*given, one)["consents"] == '["whatsapp"]'
    everything = an_event(1, "Consent Withdrawn", days_ago=5)
    assert row_of(*given, everything)["consents"] is None


def test_a_withdrawn_purpose_withdraws_its_traits(row_of: Callable[..., Row], an_event: Callable[..., Row]) -> None:
    answer = an_event(1, "Question Answered", trait="skin_need", answer="acne", days_ago=9)
    stop = an_event(1, "Consent Withdrawn", days_ago=5, properties='{"purpose":"personalisation"}')
    assert row_of(answer, stop)["trait_skin_need"] is None


def test_a_correction_counts_from_the_instant_at_which_it_was_known(
    a_workspace: Callable[..., Workspace],
    an_order: Callable[..., Row],
    events_table: Callable[..., Any],
    noon: datetime,
) -> None:
    first = an_order(1, days_ago=20, total=10.0, order_id="o")
    corrected_at = noon - timedelta(days=10)
    first["superseded_at"] = corrected_at
    second = first | {"total": 30.0, "received_at": corrected_at, "superseded_at": None}
    workspace = a_workspace()
    with Lake(workspace.lake).writer() as writer:
        writer.write(events_table([first, second], EVENT_SCHEMA))
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    instants = [noon - timedelta(days=14), corrected_at, corrected_at + timedelta(microseconds=1), noon]
    sources = Sources(Lake(workspace.lake))
    revenue = [table["revenue"].to_pylist() for table in aggregate(sources, instants, brand=brand, schema=schema)]
    assert revenue == [[10], [10], [30], [30]]


def test_brand_event_names_are_parameters(
    starter: tuple[Workspace, Brand], events_table: Callable[..., Any], an_event: Callable[..., Row], noon: datetime
) -> None:
    workspace, brand = starter
    renamed = brand.model_copy(update={"events": brand.events.model_copy(update={"order": "Checkout Done"})})
    sources = Sources(Lake(workspace.lake), log=events_table([an_event(1, "Checkout Done", total=5.0)]))
    schema = feature_schema(renamed, workspace)
    row = next(iter(aggregate(sources, [noon], brand=renamed, schema=schema))).to_pylist()[0]
    assert (row["n_orders"], row["revenue"]) == (1, 5)
