"""LightGBM regressions of rewards and of effects: small, steady, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.boosting import reproducible

Floats = NDArray[np.float64]


def boosted(
    X: Floats,
    y: Floats,
    *,
    rounds: int,
    leaves: int,
    fewest: int,
    names: Sequence[str],
    categorical: Sequence[int],
    seed: int,
) -> lightgbm.Booster:
    """A regression by squared error.

    Args:
        X: shape `(n, n_inputs)`.
        y: shape `(n,)`.
        rounds: trees.
        leaves: of a tree, at most.
        fewest: rows of a leaf, at least.
        names: of the inputs.
        categorical: which inputs are codes.
        seed: of LightGBM.
    """
    parameters: dict[str, Any] = {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": leaves,
        "min_data_in_leaf": fewest,
        "lambda_l2": 1.0,
        "max_bin": 63,
        "min_data_per_group": max(fewest, 50),
        **reproducible(seed=seed, threads=1),
    }
    data = lightgbm.Dataset(
        X, y, feature_name=list(names), categorical_feature=list(categorical), params={"verbose": -1, "max_bin": 63}
    )
    return lightgbm.train(parameters, data, num_boost_round=rounds)
