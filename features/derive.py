"""What training and serving both compute on top of a stored row, at the moment of reading it.

Pure numpy. Ages come from instants, so they are right at any moment; counts over windows are as of the row. All inputs
are the float32 values that serving will see, so a batch equals a loop of singles bit by bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.brand import Funnel
from features.catalogue import STAGES
from features.schema import FeatureSchema

MISSING_INSTANT = -(2**63)
DAY_US = 86_400_000_000
YEAR_DAYS = 365.2425

Floats = npt.NDArray[np.float32]
Instants = npt.NDArray[np.int64]


class _Plan(NamedTuple):
    """Where things lie in a schema's arrays."""

    column: dict[str, int]
    instant: dict[str, int]
    trait_ages: npt.NDArray[np.int64]
    half_lives: npt.NDArray[np.float64]
    dates: tuple[int, ...]
    ratio_columns: npt.NDArray[np.int64]


# What the ratios divide, then by what, then the last 30 days of what has a trend, then its last 90.
_RATIO_COLUMNS: tuple[str, ...] = ("n_refunds", "n_orders", "n_add_to_carts_90d", "n_messages_clicked_90d")
_RATIO_COLUMNS += ("n_orders", "mean_gap_days", "n_product_views_90d", "n_messages_sent_90d")
_RATIO_COLUMNS += ("revenue_30d", "n_order_days_30d", "n_product_views_30d")
_RATIO_COLUMNS += ("revenue_90d", "n_order_days_90d", "n_product_views_90d")

_PLANS: dict[str, _Plan] = {}


def _plan(schema: FeatureSchema) -> _Plan:
    plan = _PLANS.get(schema.version)
    if plan is None:
        instant = {name: index for index, name in enumerate(schema.instants)}
        traits = list(schema.half_lives_days)
        column = {name: index for index, name in enumerate(schema.numeric)}
        plan = _PLANS[schema.version] = _Plan(
            column=column,
            instant=instant,
            trait_ages=np.array([instant[f"trait_{name}_at"] for name in traits], dtype=np.int64),
            half_lives=np.array([schema.half_lives_days[name] for name in traits], dtype=np.float64),
            dates=tuple(column[f"trait_{name}"] for name in schema.dates),
            ratio_columns=np.array([column[name] for name in _RATIO_COLUMNS], dtype=np.int64),
        )
    return plan


def derive(vector: Floats, instants: Instants, as_of_us: int | Instants, schema: FeatureSchema) -> Floats:
    """The model inputs of customers at an instant.

    Args:
        vector: (n_customers, len(schema.numeric)), NaN where missing.
        instants: (n_customers, len(schema.instants)), µs since the epoch, UTC; MISSING_INSTANT where missing.
        as_of_us: the instant to stand at, one for all or one a customer, µs since the epoch, UTC.
        schema: which names lie where.

    Returns:
        (n_customers, len(schema.model_inputs)) in that order, NaN where missing.
    """
    plan = _plan(schema)
    as_of = np.asarray(as_of_us, dtype=np.int64).reshape(-1, 1)
    ages = _ages_days(instants, as_of)
    parts: list[npt.NDArray[np.floating]] = [vector, ages]
    parts.append(np.exp2(-ages[:, plan.trait_ages] / plan.half_lives))
    as_of_days = as_of[:, 0] / DAY_US
    for index in plan.dates:
        years = (as_of_days - vector[:, index].astype(np.float64)) / YEAR_DAYS
        parts.append(np.stack([years, (1.0 - years % 1.0) % 1.0 * YEAR_DAYS], axis=1))
    parts.append(_ratios(vector, ages, plan))
    inputs: Floats = np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")
    return inputs


def _ages_days(instants: Instants, as_of: Instants) -> npt.NDArray[np.float64]:
    missing = instants == MISSING_INSTANT
    elapsed = (as_of - np.where(missing, as_of, instants)) / DAY_US
    np.maximum(elapsed, 0.0, out=elapsed)  # a clock that runs ahead by seconds is not the future
    elapsed[missing] = np.nan
    return elapsed


def _ratios(vector: Floats, ages: npt.NDArray[np.float64], plan: _Plan) -> npt.NDArray[np.float64]:
    """In the order of RATIOS: two shares, three trends, two shares."""
    amounts = vector[:, plan.ratio_columns].astype(np.float64)
    parts, wholes = amounts[:, 0:4], amounts[:, 4:8]
    parts[:, 1] = ages[:, plan.instant["last_order_at"]]
    shares = np.divide(parts, wholes, out=np.full_like(parts, np.nan), where=wholes > 0)
    last_30, last_90 = amounts[:, 8:11], amounts[:, 11:14]
    before = np.maximum(last_90 - last_30, 0.0) / 2.0  # a mean month of the 60 days before
    trends = np.log1p(np.maximum(last_30, 0.0)) - np.log1p(before)
    return np.concatenate([shares[:, :2], trends, shares[:, 2:]], axis=1)


def stage_of(
    vector: Floats, instants: Instants, as_of_us: int | Instants, schema: FeatureSchema, *, funnel: Funnel
) -> npt.NDArray[np.object_]:
    """The funnel stage of each customer at an instant: loyalty, conversion, consideration or awareness.

    Loyalty needs `funnel.loyalty_orders` orders, conversion one; consideration a view, a cart, a click or an answer
    within `funnel.consideration_days`.

    Returns:
        (n_customers,) of the stages' names.
    """
    plan = _plan(schema)
    n_orders = np.nan_to_num(vector[:, plan.column["n_orders"]])
    last = instants[:, plan.instant["last_consideration_at"]]
    as_of = np.asarray(as_of_us, dtype=np.int64).reshape(-1)
    considering = (last != MISSING_INSTANT) & (last >= as_of - funnel.consideration_days * DAY_US)
    index = np.select([n_orders >= funnel.loyalty_orders, n_orders >= 1, considering], [3, 2, 1], default=0)
    stages: npt.NDArray[np.object_] = _stage_names()[index]
    return stages


@lru_cache(maxsize=1)
def _stage_names() -> npt.NDArray[np.object_]:
    return np.array(STAGES, dtype=object)
