"""What a data scientist would pick instead for uplift: scikit-uplift's approaches on LightGBM and on regression.

They are written out here, equal to its classes (a test holds them to that), since it is no dependency of ours: one
model of X and the arm (`SoloModel`), a model an arm (`TwoModels`), a model of the transformed outcome
(`ClassTransformation`; of amounts `ClassTransformationReg`). LightGBM has its own defaults, as whoever tries it has;
regressions see a scaled design with categories as columns, and are logistic for outcomes of 0 and 1.

References:
    Gutierrez and Gérardy (2017), Causal inference and uplift modelling: a review of the literature.
    Jaskowski and Jaroszewicz (2012), Uplift modeling for clinical trial data: the class transformation.
    Athey and Imbens (2015), Machine learning methods for estimating heterogeneous causal effects: the same of amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.boosting import reproducible

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Predict = Callable[[Floats], Floats]
Fit = Callable[[Floats, Floats], Predict]

TREES, LINEAR = "LightGBM", "regression"
RESPONSE = "response ranking (LightGBM)"
N_TREES = 100


@dataclass(frozen=True, slots=True)
class Known:
    """The customers that an alternative learns from, or is asked of.

    Attributes:
        X: shape `(n, n_inputs)`, NaN where unknown: for trees.
        Z: shape `(n, n_columns)`, without NaN, scaled: for regressions.
    """

    X: Floats
    Z: Floats


@dataclass(frozen=True, slots=True)
class Taught:
    """What an alternative learns from.

    Attributes:
        known: of the customers.
        treated: who got the message, shape `(n,)`.
        y: what followed, shape `(n,)`.
        categorical: places of categories in X.
        seed: of LightGBM.
    """

    known: Known
    treated: Booleans
    y: Floats
    categorical: tuple[int, ...]
    seed: int

    @property
    def is_binary(self) -> bool:
        """Whether outcomes are only 0 and 1."""
        return bool(np.isin(self.y, (0.0, 1.0)).all())


def alternatives() -> Mapping[str, Callable[[Taught, Known], Floats]]:
    """By name, what fits to the first and gives the predicted uplift of the second, shape `(n,)`."""
    found: dict[str, Callable[[Taught, Known], Floats]] = {}
    for base in (TREES, LINEAR):
        for name, approach in (
            ("SoloModel", solo_model),
            ("TwoModels", two_models),
            ("ClassTransformation", transformed),
        ):
            found[f"scikit-uplift {name} ({base})"] = _of(approach, base)
    found[RESPONSE] = response_ranking
    return found


def solo_model(taught: Taught, asked: Known, base: str) -> Floats:
    """One model of X and the arm; for regressions also their product, or all uplifts would be alike."""
    fit = _fitter(taught, base)
    given = _inputs(taught.known, base)
    predict = fit(_with_arm(given, taught.treated.astype(np.float64), base), taught.y)
    new = _inputs(asked, base)
    ones, zeros = np.ones(len(new)), np.zeros(len(new))
    return predict(_with_arm(new, ones, base)) - predict(_with_arm(new, zeros, base))


def two_models(taught: Taught, asked: Known, base: str) -> Floats:
    """A model of the treated less one of the controls."""
    fit = _fitter(taught, base)
    given, new = _inputs(taught.known, base), _inputs(asked, base)
    of_treated, of_control = (fit(given[arm], taught.y[arm]) for arm in (taught.treated, ~taught.treated))
    return of_treated(new) - of_control(new)


def transformed(taught: Taught, asked: Known, base: str) -> Floats:
    """A model of whether the outcome goes with the arm; of amounts, of the outcome weighted by the arm's share."""
    given, new = _inputs(taught.known, base), _inputs(asked, base)
    if taught.is_binary:
        return 2.0 * _fitter(taught, base)(given, (taught.y == taught.treated).astype(np.float64))(new) - 1.0
    share = float(taught.treated.mean())
    target = taught.y * (taught.treated - share) / (share * (1.0 - share))
    return _fitter(taught, base, is_binary=False)(given, target)(new)


def response_ranking(taught: Taught, asked: Known) -> Floats:
    """What is expected of each customer who gets the message: whom a marketer without controls would send it to."""
    treated = taught.treated
    return _fitter(taught, TREES)(taught.known.X[treated], taught.y[treated])(asked.X)


def _of(approach: Callable[[Taught, Known, str], Floats], base: str) -> Callable[[Taught, Known], Floats]:
    return lambda taught, asked: approach(taught, asked, base)


def _inputs(known: Known, base: str) -> Floats:
    return known.X if base == TREES else known.Z


def _with_arm(inputs: Floats, arm: Floats, base: str) -> Floats:
    """As scikit-uplift's `dummy` for trees, and its `treatment_interaction` for regressions."""
    return np.column_stack([inputs, arm] if base == TREES else [inputs, inputs * arm[:, None], arm])


def _fitter(taught: Taught, base: str, *, is_binary: bool | None = None) -> Fit:
    binary = taught.is_binary if is_binary is None else is_binary
    if base == LINEAR:
        return _logistic if binary else _least_squares
    return lambda inputs, y: _boosted(inputs, y, binary=binary, categorical=taught.categorical, seed=taught.seed)


def _boosted(inputs: Floats, y: Floats, *, binary: bool, categorical: Sequence[int], seed: int) -> Predict:
    """LightGBM with its own defaults, as LGBMClassifier and LGBMRegressor have them."""
    import lightgbm

    parameters = {
        "objective": "binary" if binary else "regression",
        **reproducible(seed=seed, threads=1),
    }
    if len(y) == 0 or np.ptp(y) == 0.0:
        level = float(y.mean()) if len(y) else 0.0
        return lambda new: np.full(len(new), level)
    data = lightgbm.Dataset(inputs, y, categorical_feature=list(categorical), params={"verbose": -1})
    booster = lightgbm.train(parameters, data, num_boost_round=N_TREES)
    return lambda new: np.asarray(booster.predict(new, num_threads=1), dtype=np.float64)


def _logistic(inputs: Floats, y: Floats) -> Predict:
    from sklearn.linear_model import LogisticRegression

    if np.ptp(y) == 0.0:
        return lambda new: np.full(len(new), float(y.mean()))
    model = LogisticRegression(max_iter=1000).fit(inputs, y)
    return lambda new: np.asarray(model.predict_proba(new)[:, 1], dtype=np.float64)


def _least_squares(inputs: Floats, y: Floats) -> Predict:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(inputs, y)
    return lambda new: np.asarray(model.predict(new), dtype=np.float64)
