"""What training and serving both compute on top of a stored row, at the moment of reading it.

Pure numpy. Ages come from instants, so they are right at any moment; counts over windows are as of the row. All inputs
are the float32 values that serving will see, so a batch equals a loop of singles bit by bit.
"""

from __future__ import annotations

import math
from calendar import isleap
from collections.abc import Sequence
from datetime import date
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
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

Floats = npt.NDArray[np.float32]
Instants = npt.NDArray[np.int64]


class _Plan(NamedTuple):
    """Where things lie in a schema's arrays."""

    n_orders: int
    last_order: int
    last_consideration: int
    trait_ages: npt.NDArray[np.int64]
    half_lives: npt.NDArray[np.float64]
    dates: npt.NDArray[np.int64]
    ratio_columns: npt.NDArray[np.int64]
    n_inputs: int
    date_places: tuple[int, ...]
    fading: tuple[tuple[int, float], ...]  # of each trait where its age lies, and its half-life
    ratio_places: tuple[int, ...]


# What the ratios divide, then by what, then the last 30 days of what has a trend, then its last 90.
_RATIO_COLUMNS: tuple[str, ...] = ("n_refunds", "n_orders", "n_add_to_carts_90d", "n_messages_clicked_90d")
_RATIO_COLUMNS += ("n_orders", "mean_gap_days", "n_product_views_90d", "n_messages_sent_90d")
_RATIO_COLUMNS += ("revenue_30d", "n_order_days_30d", "n_product_views_30d")
_RATIO_COLUMNS += ("revenue_90d", "n_order_days_90d", "n_product_views_90d")
_RATIO_PARTS = (slice(0, 4), slice(4, 8), slice(8, 14), slice(8, 11), slice(11, 14))

_PLANS: dict[str, _Plan] = {}


def _plan(schema: FeatureSchema) -> _Plan:
    plan = _PLANS.get(schema.version)
    if plan is None:
        instant = {name: index for index, name in enumerate(schema.instants)}
        traits = list(schema.half_lives_days)
        column = {name: index for index, name in enumerate(schema.numeric)}
        date_places = tuple(column[f"trait_{name}"] for name in schema.dates)
        ratio_places = tuple(column[name] for name in _RATIO_COLUMNS)
        plan = _PLANS[schema.version] = _Plan(
            n_orders=column["n_orders"],
            last_order=instant["last_order_at"],
            last_consideration=instant["last_consideration_at"],
            trait_ages=np.array([instant[f"trait_{name}_at"] for name in traits], dtype=np.int64),
            half_lives=np.array([schema.half_lives_days[name] for name in traits], dtype=np.float64),
            dates=np.array(date_places, dtype=np.int64),
            ratio_columns=np.array(ratio_places, dtype=np.int64),
            n_inputs=len(schema.model_inputs),
            date_places=date_places,
            fading=tuple((instant[f"trait_{name}_at"], schema.half_lives_days[name]) for name in traits),
            ratio_places=ratio_places,
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
    inputs: Floats = np.empty((len(vector), plan.n_inputs), dtype=np.float32)
    if len(vector) == 1 and isinstance(as_of_us, int):
        _derive_one(vector[0], instants[0], as_of_us, plan, out=inputs[0])
        return inputs
    n_numeric, n_instants, n_traits = vector.shape[1], instants.shape[1], len(plan.trait_ages)
    ages = _ages_days(instants, as_of)
    inputs[:, :n_numeric] = vector
    inputs[:, n_numeric : (end := n_numeric + n_instants)] = ages
    inputs[:, end : (end := end + n_traits)] = np.exp2(-ages.take(plan.trait_ages, axis=1) / plan.half_lives)
    if n_dates := len(plan.dates):
        dates = vector.take(plan.dates, axis=1).astype(np.float64)
        inputs[:, end : end + 2 * n_dates : 2] = (as_of / DAY_US - dates) / YEAR_DAYS
        inputs[:, end + 1 : end + 2 * n_dates : 2] = _days_to_anniversary(dates, as_of // DAY_US)
    _ratios(vector, ages, plan, out=inputs[:, end + 2 * n_dates :])
    return inputs


def _derive_one(vector: Floats, instants: Instants, as_of_us: int, plan: _Plan, *, out: Floats) -> None:
    """As `derive`, of one customer: a decision waits for it, and few numbers are sooner done without arrays.

    What rounds as the processor likes (powers, logarithms) is left to the functions that do it for many.
    """
    numbers = vector.tolist()
    elapsed = [math.nan if at == MISSING_INSTANT else float(as_of_us - at) / DAY_US for at in instants.tolist()]
    ages = [0.0 if days < 0.0 else days for days in elapsed]
    derived = ages + np.exp2(np.array([-ages[place] / days for place, days in plan.fading])).tolist()
    for place in plan.date_places:
        derived += _since_and_until(numbers[place], as_of_us)
    derived += _ratios_of_one([numbers[place] for place in plan.ratio_places], ages[plan.last_order])
    out[: len(numbers)] = vector
    out[len(numbers) :] = derived


def _since_and_until(day: float, as_of_us: int) -> tuple[float, float]:
    """Years since a date, and whole days to its next anniversary."""
    if day != day:
        return math.nan, math.nan
    today = as_of_us // DAY_US
    return (as_of_us / DAY_US - day) / YEAR_DAYS, _until_anniversary(int(day), today)


def _until_anniversary(day: int, today: int) -> float:
    """As `_days_to_anniversary`, of one date."""
    try:
        born, now = date.fromordinal(day + _EPOCH_ORDINAL), date.fromordinal(today + _EPOCH_ORDINAL)
        this = _in_year(born, now.year)
        return float(((this if this >= now else _in_year(born, now.year + 1)) - now).days)
    except (ValueError, OverflowError):  # a year that a calendar of people does not have
        (left,) = _days_to_anniversary(np.array([float(day)]), np.asarray(today)).tolist()
        return float(left)


def _in_year(born: date, year: int) -> date:
    return date(year, 2, 28) if (born.month, born.day) == (2, 29) and not isleap(year) else born.replace(year=year)


def _ratios_of_one(amounts: Sequence[float], since_last_order: float) -> list[float]:
    """As `_ratios`, of one customer."""
    parts, wholes, last, before = (
        (amounts[0], since_last_order, *amounts[2:4]),
        amounts[4:8],
        amounts[8:11],
        amounts[11:],
    )
    shares = [part / whole if whole > 0.0 else math.nan for part, whole in zip(parts, wholes, strict=True)]
    earlier = [both - late for late, both in zip(last, before, strict=True)]
    months = [0.0 if amount < 0.0 else amount for amount in last] + [
        0.0 if amount < 0.0 else amount / 2.0 for amount in earlier
    ]
    logs = np.log1p(np.array(months)).tolist()
    return [*shares[:2], logs[0] - logs[3], logs[1] - logs[4], logs[2] - logs[5], *shares[2:]]


def _ages_days(instants: Instants, as_of: Instants) -> npt.NDArray[np.float64]:
    elapsed = (as_of - instants) / DAY_US  # a missing instant gives nonsense, which the last line replaces
    np.maximum(elapsed, 0.0, out=elapsed)  # a clock that runs ahead by seconds is not the future
    np.putmask(elapsed, instants == MISSING_INSTANT, np.nan)
    return elapsed


def _days_to_anniversary(dates: npt.NDArray[np.float64], today: Instants) -> npt.NDArray[np.float64]:
    """Whole days from today (UTC) to the next anniversary of each date, 0 on the day itself."""
    known = np.isfinite(dates)
    if not known.any():
        return dates
    days = np.where(known, dates, 0.0).astype(np.int64)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    into_month = days - _first_day(months)
    this_year = today.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) * 12 + months % 12
    this, following = _day_of(this_year, into_month), _day_of(this_year + 12, into_month)
    left = np.where(this >= today, this, following) - today
    return np.where(known, left, np.nan)


def _day_of(months: Instants, into_month: Instants) -> Instants:
    """That day of a month, or its last: who was born on 29 February has the 28th in common years."""
    day: Instants = np.minimum(_first_day(months) + into_month, _first_day(months + 1) - 1)
    return day


def _first_day(months: Instants) -> Instants:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _ratios(vector: Floats, ages: npt.NDArray[np.float64], plan: _Plan, *, out: Floats) -> None:
    """In the order of RATIOS: two shares, three trends, two shares."""
    amounts = vector.take(plan.ratio_columns, axis=1).astype(np.float64)
    parts, wholes, months, last, before = (amounts[:, of] for of in _RATIO_PARTS)
    parts[:, 1] = ages[:, plan.last_order]
    np.putmask(wholes, wholes <= 0, np.nan)
    np.divide(parts, wholes, out=parts)
    np.subtract(before, last, out=before)
    np.maximum(months, 0.0, out=months)
    np.divide(before, 2.0, out=before)  # a mean month of the 60 days before
    np.log1p(months, out=months)
    out[:, :2] = parts[:, :2]
    out[:, 2:5] = last - before
    out[:, 5:] = parts[:, 2:]


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
    if len(vector) == 1 and isinstance(as_of_us, int):
        return _each_alone()[_stage_of_one(vector[0], instants[0], as_of_us, plan, funnel)]
    return stages_by(vector[:, plan.n_orders], instants[:, plan.last_consideration], as_of_us, funnel=funnel)


def stages_by(n_orders: Floats, last: Instants, as_of_us: int | Instants, *, funnel: Funnel) -> npt.NDArray[np.object_]:
    """As `stage_of`, by the two columns that it looks at: `n_orders` and `last_consideration_at`, shapes `(n,)`."""
    since = np.asarray(as_of_us, dtype=np.int64).reshape(-1) - funnel.consideration_days * DAY_US
    considering = (last != MISSING_INSTANT) & (last >= since)
    # NaN is at least no number.
    index = np.where(n_orders >= 1, np.where(n_orders >= funnel.loyalty_orders, 3, 2), considering)
    stages: npt.NDArray[np.object_] = _stage_names()[index]
    return stages


def _stage_of_one(vector: Floats, instants: Instants, as_of_us: int, plan: _Plan, funnel: Funnel) -> int:
    """As `stage_of`, of one customer: a decision waits for it."""
    n_orders, last = float(vector[plan.n_orders]), int(instants[plan.last_consideration])
    if n_orders >= 1:
        return 3 if n_orders >= funnel.loyalty_orders else 2
    return int(last != MISSING_INSTANT and last >= as_of_us - funnel.consideration_days * DAY_US)


@lru_cache(maxsize=1)
def _stage_names() -> npt.NDArray[np.object_]:
    return np.array(STAGES, dtype=object)


@lru_cache(maxsize=1)
def _each_alone() -> tuple[npt.NDArray[np.object_], ...]:
    """Of each stage the answer to one customer; nobody writes to it."""
    return tuple(_stage_names()[[place]] for place in range(len(STAGES)))
