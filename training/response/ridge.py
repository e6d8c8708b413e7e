"""Ridge regressions whose penalty is chosen by cross-validation, from sums of squares alone.

Every fold's sums are worked out once; a penalty then costs one solution of a small system, so that a grid of penalties
over several targets is cheap on any number of rows. The intercept is not penalised, and the largest penalty of the grid
leaves nothing but the intercept: "it hardly depends on the customer" is always among what is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTIES = tuple(float(penalty) for penalty in 10.0 ** np.arange(-4.0, 2.01, 0.5))  # times the number of rows


@dataclass(frozen=True, slots=True)
class Ridge:
    """Regressions of several targets on one design, with one penalty.

    Attributes:
        intercepts: shape `(n_targets,)`.
        coefficients: shape `(n_targets, n_columns)`.
        penalty: of PENALTIES.
    """

    intercepts: Floats
    coefficients: Floats
    penalty: float

    def predict(self, Z: Floats) -> Floats:
        """Shape `(n, n_targets)`."""
        return np.asarray(Z @ self.coefficients.T + self.intercepts)


@dataclass(frozen=True, slots=True)
class _Sums:
    n: float
    z: Floats
    zz: Floats
    y: Floats
    zy: Floats
    yy: Floats

    def without(self, other: _Sums) -> _Sums:
        return _Sums(
            self.n - other.n,
            self.z - other.z,
            self.zz - other.zz,
            self.y - other.y,
            self.zy - other.zy,
            self.yy - other.yy,
        )


def fit_ridge(Z: Floats, targets: Floats, *, folds: NDArray[np.int64], weights: Floats | None = None) -> Ridge:
    """The regressions of each target on a standardised design; the penalty serves them all.

    Args:
        Z: shape `(n, n_columns)`.
        targets: shape `(n, n_targets)`.
        folds: shape `(n,)`, which rows are left out together when the penalty is chosen: a customer's stay together.
        weights: shape `(n,)`; None where rows weigh the same.
    """
    heavy = np.ones(len(Z)) if weights is None else weights * (len(Z) / weights.sum())
    of_fold = [_sums(Z[folds == fold], targets[folds == fold], heavy[folds == fold]) for fold in np.unique(folds)]
    everything = _total(of_fold)
    penalty = PENALTIES[-1] if len(of_fold) < 2 or not Z.shape[1] else _best(everything, of_fold)
    intercepts, coefficients = _solved(everything, penalty)
    return Ridge(intercepts, coefficients, penalty)


def _sums(Z: Floats, targets: Floats, weights: Floats) -> _Sums:
    weighted = Z * weights[:, np.newaxis]
    of_targets = targets * weights[:, np.newaxis]
    return _Sums(
        float(weights.sum()),
        weighted.sum(axis=0),
        weighted.T @ Z,
        of_targets.sum(axis=0),
        weighted.T @ targets,
        (of_targets * targets).sum(axis=0),
    )


def _total(parts: Sequence[_Sums]) -> _Sums:
    return _Sums(
        sum(part.n for part in parts),
        np.sum([part.z for part in parts], axis=0),
        np.sum([part.zz for part in parts], axis=0),
        np.sum([part.y for part in parts], axis=0),
        np.sum([part.zy for part in parts], axis=0),
        np.sum([part.yy for part in parts], axis=0),
    )


def _best(everything: _Sums, of_fold: Sequence[_Sums]) -> float:
    """The penalty with the smallest squared error on what was left out, each target in units of its own spread."""
    spread = np.maximum(everything.yy / everything.n - (everything.y / everything.n) ** 2, 1e-300)
    errors = [
        sum(float((_error(part, *_solved(everything.without(part), penalty)) / spread).sum()) for part in of_fold)
        for penalty in PENALTIES
    ]
    smallest = min(errors)
    # The largest penalty among those that are as good as the best.
    return max(penalty for penalty, error in zip(PENALTIES, errors, strict=True) if error <= smallest * (1 + 1e-9))


def _solved(sums: _Sums, penalty: float) -> tuple[Floats, Floats]:
    mean_z, mean_y = sums.z / sums.n, sums.y / sums.n
    covariance = sums.zz / sums.n - np.outer(mean_z, mean_z)
    together = sums.zy / sums.n - np.outer(mean_z, mean_y)
    coefficients = np.linalg.solve(covariance + penalty * np.eye(len(mean_z)), together).T
    return np.asarray(mean_y - coefficients @ mean_z), np.asarray(coefficients)


def _error(part: _Sums, intercepts: Floats, coefficients: Floats) -> Floats:
    """The sum of squared errors of each target on these rows."""
    fitted = np.einsum("tc,cd,td->t", coefficients, part.zz, coefficients)
    crossed = np.einsum("tc,ct->t", coefficients, part.zy)
    through = coefficients @ part.z
    return np.asarray(
        part.yy - 2 * (crossed + intercepts * part.y) + fitted + 2 * intercepts * through + part.n * intercepts**2
    )
