"""The members of an expectation: models of repeat buying, a regression and boosting on top of what those say.

The regression and the trees start from the models of repeat buying: the former has their expectations among its
columns, the latter correct them (their logarithm is where boosting begins), so that few rows already do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from training.boosting import reproducible
from training.dataset import training_threads
from training.expectations.corrected import corrected_orders
from training.expectations.shop import LEAST, REPEAT, Shop
from training.order_days import rfm
from training.split import whole_weeks

Floats = NDArray[np.float64]

REGRESSION, BOOSTING, CORRECTED = "regression", "boosting", "repeat buying corrected"
RIDGE = 0.01  # of a standardised column, a row; 0.001 and 0.1 were a little worse
ROUNDS, LEAVES, FEWEST_IN_LEAF = 75, 4, 40
HIGHEST = 50.0  # times the most that anybody did in the window that taught: what a regression may not go beyond
FEWEST_ROWS = 60  # customers, and order-days in the window, that a regression or trees learn from
FEWEST_DAYS = 7


class Of(StrEnum):
    """What is expected."""

    ORDERS = "orders"
    SPEND = "spend"


@dataclass(frozen=True, slots=True)
class Pieces:
    """What every member says of the buyers as of a day, each brought to the level of the window that taught.

    Attributes:
        said: by member, each of shape `(n,)`.
        own: the sum over buyers that the models of repeat buying say by themselves.
        window_days: of the window that taught; None where none had closed.
    """

    said: dict[str, Floats]
    own: dict[str, float]
    window_days: int | None


@dataclass(frozen=True, slots=True)
class _Lesson:
    start: Floats  # the logarithm of what the models of repeat buying say, each; shape (n, n_models)
    design: Floats  # of the regression, without those
    X: Floats  # of the snapshot


def repeat_expectations(shop: Shop, day: int, *, horizon_days: int, of: Of) -> dict[str, Floats]:
    """What the models of repeat buying say, times gamma-gamma's value of an order-day for spend."""
    expected = shop.expected(day, horizon_days=horizon_days)
    if of is Of.ORDERS:
        return expected
    value = shop.value(day)
    return {} if value is None else {name: said * value for name, said in expected.items()}


def with_correction(found: Pieces, shop: Shop, day: int, *, horizon_days: int, of: Of) -> Pieces:
    """The same with repeat buying corrected by what it missed in the newest closed window, at its own level."""
    start, window = _newest_window(shop, day, horizon_days=horizon_days)
    value = shop.value(day) if of is Of.SPEND else 1.0
    if window < FEWEST_DAYS or value is None:
        return found
    orders = corrected_orders(shop, day, start=start, window_days=window, horizon_days=horizon_days)
    if orders is None or not np.isfinite(orders).all():
        return found
    said = np.maximum(orders * value, LEAST)
    return replace(found, said=found.said | {CORRECTED: said}, own=found.own | {CORRECTED: float(said.sum())})


def _newest_window(shop: Shop, day: int, *, horizon_days: int) -> tuple[int, int]:
    """Where the newest window begins that has as much history behind it, and its length: at most the horizon."""
    n_days = day - int(shop.orders.days[0])
    window = min(horizon_days, n_days // 2)
    return day - (whole_weeks(window) if 2 * whole_weeks(window) <= n_days else window), window


def pieces(shop: Shop, day: int, *, horizon_days: int, of: Of, seed: int) -> Pieces:
    """Every member, fitted with what was known as of `day`.

    A window of the horizon's length with as much history behind it teaches; where there is none, the longest that
    there is, and what is learned there is carried on as the models of repeat buying carry themselves on.
    """
    repeat = repeat_expectations(shop, day, horizon_days=horizon_days, of=of)
    own = {name: float(said.sum()) for name, said in repeat.items()}
    start, window = _newest_window(shop, day, horizon_days=horizon_days)
    said_then = repeat_expectations(shop, start, horizon_days=window, of=of) if window >= FEWEST_DAYS else {}
    if not repeat or said_then.keys() != repeat.keys():
        return Pieces(repeat, own, None)
    happened = actual(shop, start, horizon_days=window, of=of)
    if len(happened) < FEWEST_ROWS or int((happened > 0).sum()) < FEWEST_ROWS // 2:
        return Pieces(repeat, own, None)
    here = repeat_expectations(shop, day, horizon_days=window, of=of)
    carried = sum(repeat.values()) / sum(here.values())
    levelled = {name: of_now * happened.sum() / said_then[name].sum() for name, of_now in repeat.items()}
    before, now = _lesson(shop, start, said_then), _lesson(shop, day, here)
    highest = HIGHEST * float(happened.max())
    learned = {
        REGRESSION: _regression(before, now, happened),
        BOOSTING: _boosting(shop, before, now, happened, of=of, seed=seed),
    }
    learned = {name: np.clip(values * carried, LEAST, highest) for name, values in learned.items()}
    return Pieces(levelled | learned, own, window)


def actual(shop: Shop, day: int, *, horizon_days: int, of: Of) -> Floats:
    """What became of the buyers as of a day, shape `(n,)`."""
    orders, spend = shop.orders.within(shop.buyers(day).keys, day=day, horizon_days=horizon_days)
    return orders if of is Of.ORDERS else spend


def _lesson(shop: Shop, day: int, said: dict[str, Floats]) -> _Lesson:
    start = np.column_stack([np.log(np.maximum(said[name], LEAST)) for name in REPEAT if name in said])
    return _Lesson(start, rfm(shop.buyers(day)), shop.X(day))


def _regression(before: _Lesson, now: _Lesson, happened: Floats) -> Floats:
    from sklearn.linear_model import PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scale = float(happened.mean())
    fitted = make_pipeline(StandardScaler(), PoissonRegressor(alpha=RIDGE, max_iter=500))
    fitted.fit(np.column_stack([before.design, before.start]), happened / scale)
    with np.errstate(over="ignore"):
        return np.asarray(fitted.predict(np.column_stack([now.design, now.start])) * scale)


def _boosting(shop: Shop, before: _Lesson, now: _Lesson, happened: Floats, *, of: Of, seed: int) -> Floats:
    import lightgbm

    scale = float(happened.mean())
    X = np.column_stack([before.X, before.start])
    starts = [before.start.mean(axis=1), now.start.mean(axis=1)]
    level = np.log(happened.sum() / np.exp(starts[0]).sum())
    inputs = shop.source.inputs
    data = lightgbm.Dataset(
        X,
        happened / scale,
        init_score=starts[0] + level - np.log(scale),
        categorical_feature=[i for i, name in enumerate(inputs) if name in shop.source.categories],
        params={"verbose": -1},
    )
    parameters = {
        "objective": "poisson" if of is Of.ORDERS else "tweedie",
        "num_leaves": LEAVES,
        "learning_rate": 0.05,
        "min_data_in_leaf": FEWEST_IN_LEAF,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        **reproducible(seed=seed, threads=training_threads(X)),
    }
    booster = lightgbm.train(parameters, data, num_boost_round=ROUNDS)
    raw = booster.predict(np.column_stack([now.X, now.start]), raw_score=True, num_threads=2)
    return np.asarray(np.exp(np.clip(raw + starts[1] + level, -50.0, 50.0)))
