"""The alternatives are scikit-uplift's: the same uplift for the same customers."""

from __future__ import annotations

import warnings

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from training.evaluating.response_alternatives import LINEAR, TREES, Known, Taught, alternatives

models = pytest.importorskip("sklift.models")


def a_campaign(*, amounts: bool, n: int = 1200, seed: int = 0) -> tuple[Taught, Known]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    treated = rng.random(n) < 0.5
    y = (rng.random(n) < 0.3 + 0.2 * treated * (X[:, 0] > 0)).astype(float)
    if amounts:
        y *= np.round(rng.gamma(2, 20, n), 2)
    new = rng.normal(size=(300, 4))
    return Taught(Known(X, X), treated, y, (), seed=0), Known(new, new)


def trees(*, amounts: bool) -> lightgbm.LGBMModel:
    kind = lightgbm.LGBMRegressor if amounts else lightgbm.LGBMClassifier
    return kind(random_state=0, verbose=-1, n_jobs=1, deterministic=True, force_row_wise=True)


def regression(*, amounts: bool) -> LinearRegression | LogisticRegression:
    return LinearRegression() if amounts else LogisticRegression(max_iter=1000)


@pytest.mark.parametrize("base", [TREES, LINEAR])
@pytest.mark.parametrize("amounts", [False, True])
def test_each_approach_predicts_what_scikit_uplifts_does(base: str, amounts: bool) -> None:
    taught, asked = a_campaign(amounts=amounts)
    X, y, treated = taught.known.X, taught.y, taught.treated.astype(int)
    make = trees if base == TREES else regression
    share = float(treated.mean())
    theirs = {
        "SoloModel": models.SoloModel(
            make(amounts=amounts), method="dummy" if base == TREES else "treatment_interaction"
        ),
        "TwoModels": models.TwoModels(make(amounts=amounts), make(amounts=amounts)),
        "ClassTransformation": models.ClassTransformationReg(make(amounts=True), propensity_val=share)
        if amounts
        else models.ClassTransformation(make(amounts=False)),
    }
    for name, model in theirs.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = model.fit(X, y, treated).predict(asked.X)
        ours = alternatives()[f"scikit-uplift {name} ({base})"](taught, asked)
        np.testing.assert_allclose(ours, expected, atol=1e-6, err_msg=name)


def test_an_arm_in_which_nothing_ever_happened_is_no_fault() -> None:
    taught, asked = a_campaign(amounts=False)
    taught.y[~taught.treated] = 0.0
    for name, fit in alternatives().items():
        assert np.isfinite(fit(taught, asked)).all(), name
