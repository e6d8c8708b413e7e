"""What holds for every feature, the brand's own included, whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.aggregation import Sources, aggregate
from features.brand import Brand
from features.lake import Lake
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
EVENTS = ("Product Viewed", "Product Added", "Page Viewed", "Ad Clicked", "Message Opened", "Message Clicked")
SHOWN = ("dryness", "acne", "purple", None)

moments = st.one_of(
    # On the edges of windows, just before and just after them, and anywhere.
    st.builds(
        lambda days, microseconds: NOON - timedelta(days=days, microseconds=microseconds),
        st.sampled_from([0, 1, 7, 14, 21, 30, 37, 90, 365]),
        st.sampled_from([-1, 0, 1]),
    ),
    st.datetimes(datetime(2022, 6, 1), datetime(2024, 6, 20), timezones=st.just(UTC)),  # noqa: DTZ001
)
delays = st.sampled_from([timedelta(0), timedelta(0), timedelta(seconds=30), timedelta(days=3), timedelta(days=40)])
prices = st.floats(0, 10_000, allow_nan=False).map(lambda price: round(price, 2))


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    at = draw(moments)
    event = draw(st.sampled_from(("order", "order", "refund", "answer", "identify", "sent", "consent", "site")))
    columns: dict[str, Any] = {
        "customer_key": draw(st.integers(1, 3)),
        "occurred_at": at,
        "received_at": at + draw(delays),
        "backfilled": False,
    }
    if event == "order":
        line: dict[str, Any] = {
            "product_id": draw(st.sampled_from("abc")),
            "category": draw(st.sampled_from(["x", "y", "z", None])),
        }
        line |= {"quantity": draw(st.sampled_from([1.0, 2.0, None])), "price": draw(prices)}
        columns |= {"event": "Order Completed", "total": draw(st.none() | prices)}
        columns |= {"order_id": draw(st.sampled_from(["o1", "o2", "o3", "o4", None])), "products": [line]}
    elif event == "refund":
        columns |= {"event": "Order Refunded", "total": draw(prices)}
    elif event == "answer":
        columns |= {"event": "Question Answered", "trait": "skin_need", "answer": draw(st.sampled_from(SHOWN))}
    elif event == "identify":
        said = draw(st.sampled_from(['{"birthday":"1990-02-03","locale":"hi"}', '{"interests":["makeup"]}', "{}"]))
        columns |= {"event": "identify", "properties": said}
    elif event == "sent":
        columns |= {"event": "Message Sent", "action_id": draw(st.sampled_from(["nothing", "a", "b"]))}
        columns |= {"campaign": draw(st.sampled_from(["c1", "c2"])), "channel": "email"}
    elif event == "consent":
        columns |= {"event": draw(st.sampled_from(["Consent Given", "Consent Withdrawn"]))}
        columns |= {"channel": draw(st.sampled_from(["email", None])), "properties": draw(purposes)}
    else:
        columns |= {"event": draw(st.sampled_from(EVENTS))}
    return columns


purposes = st.sampled_from([None, '{"purpose":"marketing"}', '{"purpose":"personalisation"}'])
histories = st.lists(events(), max_size=25).map(
    lambda many: [event | {"event_id": f"e{n}"} for n, event in enumerate(many)]
)

Rows = Callable[..., list[list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def rows(
    starter: tuple[Workspace, Brand], events_table: Callable[..., pa.Table], tmp_path_factory: pytest.TempPathFactory
) -> Rows:
    """The rows of every instant, computed from these events."""
    workspace, brand = starter
    schema: FeatureSchema = feature_schema(brand, workspace)
    lake = Lake(Path(tmp_path_factory.mktemp("nothing")))

    def compute(
        history: Sequence[dict[str, Any]], as_ofs: Sequence[datetime], customers: tuple[int, ...] | None = None
    ) -> list[list[dict[str, Any]]]:
        of_whom = [event for event in history if customers is None or event["customer_key"] in customers]
        sources = Sources(lake, log=events_table(of_whom), customers=customers)
        return [table.to_pylist() for table in aggregate(sources, as_ofs, brand=brand, schema=schema)]

    return compute


@given(history=histories)
@settings(max_examples=12)
def test_an_event_at_or_after_as_of_or_received_after_it_changes_no_feature(
    rows: Rows, history: list[dict[str, Any]]
) -> None:
    known = [event for event in history if max(event["occurred_at"], event["received_at"]) < NOON]
    assert rows(history, [NOON]) == rows(known, [NOON])


@given(history=histories)
@settings(max_examples=8)
def test_everyone_at_many_instants_equals_few_customers_and_one_alone_at_one(
    rows: Rows, history: list[dict[str, Any]]
) -> None:
    instants = [NOON - timedelta(days=14), NOON - timedelta(days=7), NOON]
    together = rows(history, instants)
    assert together == [rows(history, [at], (1, 2, 3))[0] for at in instants]
    assert [row for row in together[-1] if row["customer_key"] == 2] == rows(history, [NOON], (2,))[0]


@given(history=histories, seed=st.randoms(use_true_random=False))
@settings(max_examples=6)
def test_the_order_in_which_events_are_read_changes_no_digit(rows: Rows, history: list[Any], seed: Any) -> None:
    shuffled = list(history)
    seed.shuffle(shuffled)
    assert rows(shuffled, [NOON]) == rows(history, [NOON])
