"""The members of an expectation: models of repeat buying, a regression and boosting on top of what those say.

The regression and the trees start from the models of repeat buying: the former has their expectations among its
columns, the latter correct them (their logarithm is where boosting begins), so that few rows already do no harm. What
is fitted here says the same once it is served (`training.served.expectations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.boosting import reproducible
from training.dataset import training_threads
from training.expectations.corrected import corrected_orders
from training.expectations.shop import Shop
from training.linear import RFM, Linear, columns_for, rounded, standardised
from training.members import Customers
from training.served.expectations import BOOSTING as BOOSTING
from training.served.expectations import LEAST, REPEAT, Learned, Seen
from training.served.expectations import REGRESSION as REGRESSION
from training.split import whole_weeks

Floats = NDArray[np.float64]

CORRECTED = "repeat buying corrected"
RIDGE = 0.01  # of a standardised column, a row; 0.001 and 0.1 were a little worse
ROUNDS, LEAVES, FEWEST_IN_LEAF = 75, 4, 40
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
        learned: what it taught; None likewise.
    """

    said: dict[str, Floats]
    own: dict[str, float]
    window_days: int | None
    learned: Learned | None = None


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
    before, now = _seen(shop, start, said_then), _seen(shop, day, here)
    learned = Learned(
        levels={name: float(happened.sum() / said_then[name].sum()) for name in repeat},
        regression=_regression(before, happened, columns=rfm_columns(shop.source.inputs)),
        **_boosting(shop, before, happened, of=of, seed=seed),
        highest=float(happened.max()),
    )
    said = learned.said(now, carried=sum(repeat.values()) / sum(here.values()))
    levelled = {name: of_now * learned.levels[name] for name, of_now in repeat.items()}
    return Pieces(said | levelled, own, window, learned)


def rfm_columns(inputs: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The regression's columns that can be made of these inputs."""
    return tuple(column for column in columns_for(inputs) if column in RFM)


def actual(shop: Shop, day: int, *, horizon_days: int, of: Of) -> Floats:
    """What became of the buyers as of a day, shape `(n,)`."""
    orders, spend = shop.orders.within(shop.buyers(day).keys, day=day, horizon_days=horizon_days)
    return orders if of is Of.ORDERS else spend


def _seen(shop: Shop, day: int, said: dict[str, Floats]) -> Seen:
    X = shop.X(day)
    design = Customers(X, shop.source.inputs).design(rfm_columns(shop.source.inputs))
    return Seen({name: np.maximum(of, LEAST) for name, of in said.items()}, design, X)


def _regression(before: Seen, happened: Floats, *, columns: tuple[tuple[str, ...], ...]) -> Linear:
    from sklearn.linear_model import PoissonRegressor

    scale = float(happened.mean())
    mean, spread, unit = standardised(np.column_stack([before.design, before.start]))
    fitted = PoissonRegressor(alpha=RIDGE, max_iter=500).fit(unit, happened / scale)
    names = (*columns, *(("repeat buying", name) for name in REPEAT if name in before.repeat))
    (intercept,) = rounded(fitted.intercept_ + np.log(scale))
    return Linear(names, rounded(mean), rounded(spread), rounded(fitted.coef_), intercept)


def _boosting(shop: Shop, before: Seen, happened: Floats, *, of: Of, seed: int) -> dict[str, Any]:
    import lightgbm

    scale = float(happened.mean())
    X, start = np.column_stack([before.X, before.start]), before.start.mean(axis=1)
    level = float(np.log(happened.sum() / np.exp(start).sum()))
    inputs = shop.source.inputs
    data = lightgbm.Dataset(
        X,
        happened / scale,
        init_score=start + level - np.log(scale),
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
    (level,) = rounded(np.array([level]))
    return {"trees": booster.model_to_string(), "trees_level": level}
