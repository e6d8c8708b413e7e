"""What is derived at the moment of reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from features.brand import Brand
from features.derive import DAY_US, MISSING_INSTANT, derive, stage_of
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
AS_OF_US = int(AS_OF.timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def schema(starter: tuple[Workspace, Brand]) -> FeatureSchema:
    workspace, brand = starter
    return feature_schema(brand, workspace)


def a_row(schema: FeatureSchema, **values: float | int) -> tuple[Any, Any]:
    """A customer of whom nothing is known but these; instants as days before AS_OF."""
    vector = np.full((1, len(schema.numeric)), np.nan, dtype=np.float32)
    instants = np.full((1, len(schema.instants)), MISSING_INSTANT, dtype=np.int64)
    for name, value in values.items():
        if name in schema.numeric:
            vector[0, schema.numeric.index(name)] = value
        else:
            instants[0, schema.instants.index(name)] = AS_OF_US - int(value * DAY_US)
    return vector, instants


def derived(schema: FeatureSchema, **values: float) -> dict[str, float]:
    inputs = derive(*a_row(schema, **values), AS_OF_US, schema)
    return dict(zip(schema.model_inputs, inputs[0].tolist(), strict=True))


def test_model_inputs_are_the_vector_and_what_is_derived(schema: FeatureSchema) -> None:
    inputs = derive(*a_row(schema, n_orders=3), AS_OF_US, schema)
    assert inputs.shape == (1, len(schema.model_inputs))
    assert inputs.dtype == np.float32
    assert schema.model_inputs[: len(schema.numeric)] == schema.numeric
    assert len(set(schema.model_inputs)) == len(schema.model_inputs)


def test_ages_come_from_instants(schema: FeatureSchema) -> None:
    row = derived(schema, last_order_at=12.5, first_event_at=100, mean_gap_days=5)
    assert (row["days_since_last_order"], row["tenure_days"]) == (12.5, 100)
    assert row["overdue_ratio"] == 12.5 / 5
    assert np.isnan(row["days_since_last_cart"])


def test_a_trait_fades_by_its_half_life(schema: FeatureSchema) -> None:
    row = derived(schema, trait_skin_need_at=120)
    assert (row["trait_skin_need_age_days"], row["trait_skin_need_strength"]) == (120, 0.5)


def test_a_declared_date_ages_by_itself(schema: FeatureSchema) -> None:
    born = (AS_OF - timedelta(days=30 * 365.2425) - datetime(1970, 1, 1, tzinfo=UTC)).days
    row = derived(schema, trait_birthday=born)
    assert row["trait_birthday_years"] == pytest.approx(30, abs=0.01)


def test_ratios_and_trends(schema: FeatureSchema) -> None:
    row = derived(schema, n_refunds=1, n_orders=4, revenue_30d=99, revenue_90d=99 + 2 * 9)
    assert row["refund_rate"] == 1 / 4
    assert row["revenue_trend_30d"] == pytest.approx(np.log((99 + 1) / (9 + 1)))
    assert np.isnan(derived(schema, n_refunds=0, n_orders=0)["refund_rate"])


def test_a_batch_equals_a_loop_of_singles(schema: FeatureSchema) -> None:
    random = np.random.default_rng(7)
    vector = random.gamma(1.0, 20.0, (50, len(schema.numeric))).astype(np.float32)
    vector[random.random(vector.shape) < 0.3] = np.nan
    vector[random.random(vector.shape) < 0.2] = 0.0
    instants = AS_OF_US - random.integers(-2 * DAY_US, 900 * DAY_US, (50, len(schema.instants)))
    instants[random.random(instants.shape) < 0.3] = MISSING_INSTANT
    together = derive(vector, instants, AS_OF_US, schema)
    alone = np.concatenate([derive(vector[i : i + 1], instants[i : i + 1], AS_OF_US, schema) for i in range(50)])
    np.testing.assert_array_equal(together, alone)
    each = np.full(50, AS_OF_US)
    np.testing.assert_array_equal(together, derive(vector, instants, each, schema))


def test_a_birthday_alone_is_the_birthday_among_others(schema: FeatureSchema) -> None:
    place = schema.numeric.index("trait_birthday")
    odd = [-25509, -10958, 11016, 59, 789, -719162, -800_000, 2_932_896, 3_500_000]  # leap days, and beyond calendars
    days = np.array([*odd, *np.random.default_rng(5).integers(-40_000, 30_000, 400)])
    vector, instants = (np.repeat(part, len(days), axis=0) for part in a_row(schema, n_orders=1))
    vector[:, place] = days
    for today in range(AS_OF_US, AS_OF_US + 366 * DAY_US, 61 * DAY_US + 3):
        together = derive(vector, instants, today, schema)
        alone = [derive(vector[i : i + 1], instants[i : i + 1], today, schema)[0] for i in range(len(days))]
        np.testing.assert_array_equal(together, np.array(alone))


def test_stages_of_a_batch_are_those_of_its_customers(schema: FeatureSchema, starter: tuple[Workspace, Brand]) -> None:
    customers: list[dict[str, float]] = [
        {},
        {"last_consideration_at": 90},
        {"n_orders": 1},
        {"n_orders": 2},
        {"n_orders": 0},
    ]
    rows = [a_row(schema, **values) for values in customers]
    vector, instants = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    stages = stage_of(vector, instants, AS_OF_US, schema, funnel=starter[1].funnel).tolist()
    assert stages == ["awareness", "consideration", "conversion", "loyalty", "awareness"]


@pytest.mark.parametrize(
    ("values", "stage"),
    [
        ({}, "awareness"),
        ({"last_consideration_at": 90}, "consideration"),
        ({"last_consideration_at": 90.1}, "awareness"),
        ({"n_orders": 1, "last_consideration_at": 3}, "conversion"),
        ({"n_orders": 2}, "loyalty"),
    ],
)
def test_stages(schema: FeatureSchema, starter: tuple[Workspace, Brand], values: Any, stage: str) -> None:
    assert stage_of(*a_row(schema, **values), AS_OF_US, schema, funnel=starter[1].funnel).tolist() == [stage]


@pytest.mark.parametrize(
    ("born", "today", "left"),
    [
        ("1990-06-01", "2024-06-01T00:00:00", 0),
        ("1990-06-01", "2024-06-01T23:59:59", 0),
        ("1990-06-01", "2024-06-02T00:00:00", 364),
        ("1990-06-02", "2024-06-01T12:00:00", 1),
        ("1990-01-01", "2024-12-31T12:00:00", 1),
        ("1992-02-29", "2023-02-28T12:00:00", 0),
        ("1992-02-29", "2024-02-28T12:00:00", 1),
        ("1992-02-29", "2024-02-29T12:00:00", 0),
        ("1965-12-31", "2024-12-30T12:00:00", 1),
    ],
)
def test_an_anniversary_is_nought_days_away_on_its_day(schema: FeatureSchema, born: str, today: str, left: int) -> None:
    name = schema.dates[0]
    days = (datetime.fromisoformat(born) - datetime(1970, 1, 1)).days  # noqa: DTZ001 - a date
    as_of_us = int(datetime.fromisoformat(today).replace(tzinfo=UTC).timestamp()) * 1_000_000
    inputs = derive(*a_row(schema, **{f"trait_{name}": days}), as_of_us, schema)
    assert inputs[0, schema.model_inputs.index(f"trait_{name}_days_to_anniversary")] == left


def test_of_a_date_that_nobody_told_there_is_no_anniversary(schema: FeatureSchema) -> None:
    assert np.isnan(derived(schema)[f"trait_{schema.dates[0]}_days_to_anniversary"])
