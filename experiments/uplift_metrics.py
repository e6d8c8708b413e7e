"""How well a ranking finds the customers whom a message moves: uplift at k, the uplift curve and the Qini curve.

The definitions are scikit-uplift's, and so are the numbers, ties included: customers are put in order of predicted
uplift by a stable sort that is then turned round, so of equal ones the last stands first, and a curve has a point where
the prediction changes. What is added: outcomes may be money, and rows may carry weights (for messages that were drawn
with probabilities that differ, `P(arm) / P(arm | customer)`; without them every row counts one).

References:
    Radcliffe (2007), Using control groups to target on predicted lift: Building and assessing uplift models.
    Devriendt, Guns, Verbeke (2020), Learning to rank for uplift modeling.
    scikit-uplift 0.5.1, `sklift.metrics`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Strategy = Literal["overall", "by_group"]


class Curve(NamedTuple):
    """Points of a curve: how many customers, best first, and what they bring; both begin at 0."""

    n: Floats
    gain: Floats

    def area(self) -> float:
        """Under the curve, by trapezia."""
        return float(np.trapezoid(self.gain, self.n))


class Ranked(NamedTuple):
    """Customers in order of predicted uplift, the highest first; every shape `(n,)`.

    Attributes:
        y: what followed.
        treated: who got the message.
        weights: of a row; ones where everybody's arm was drawn with the same probabilities.
        ends: places at which the prediction changes, and the last place.
    """

    y: Floats
    treated: Booleans
    weights: Floats
    ends: npt.NDArray[np.intp]


def ranked(
    y: npt.ArrayLike, uplift: npt.ArrayLike, treated: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> Ranked:
    """Puts customers in order of their predicted uplift; all metrics below can then share one sort.

    Args:
        y: what followed: 0 or 1, or an amount; shape `(n,)`.
        uplift: as predicted; shape `(n,)`, without NaN.
        treated: who got the message, the others being the control; shape `(n,)`.
        weights: shape `(n,)`, positive.

    Raises:
        ValueError: lengths differ, an uplift is no number, or there is only one arm.
    """
    outcome = np.asarray(y, dtype=np.float64)
    predicted = np.asarray(uplift, dtype=np.float64)
    got = np.asarray(treated).astype(bool)
    weight = np.ones(len(outcome)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(outcome) == len(predicted) == len(got) == len(weight):
        raise ValueError(
            f"Asked for uplift of {len(outcome)} outcomes with {len(predicted)} predictions, {len(got)} arms and "
            f"{len(weight)} weights: each customer has one of each."
        )
    if np.isnan(predicted).any():
        raise ValueError(f"{int(np.isnan(predicted).sum())} predicted uplifts are no number: they cannot be ranked.")
    if got.all() or not got.any():
        raise ValueError("Asked for uplift, but everybody is in one arm: both are needed.")
    order = np.argsort(predicted, kind="stable")[::-1]
    ends = np.append(np.flatnonzero(np.diff(predicted[order])), len(order) - 1)
    return Ranked(outcome[order], got[order], weight[order], ends)


def uplift_at(rows: Ranked, share: float, *, strategy: Strategy = "overall") -> float:
    """The mean outcome of treated less that of controls among the best-ranked.

    Args:
        rows: in order.
        share: of customers, inside (0, 1).
        strategy: `overall` takes the best of all customers; `by_group` the best of the treated and the best of the
            controls.

    Returns:
        The difference; NaN where one arm has nobody among them.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"Asked for the uplift at {share} of the customers; a share lies between 0 and 1.")
    means = []
    for arm in (rows.treated, ~rows.treated):
        if strategy == "overall":
            head = np.flatnonzero(arm[: int(len(arm) * share)])
        else:
            head = np.flatnonzero(arm)[: int(int(arm.sum()) * share)]
        means.append(float(np.average(rows.y[head], weights=rows.weights[head])) if len(head) else float("nan"))
    return means[0] - means[1]


def uplift_curve(rows: Ranked) -> Curve:
    """Of the first n customers: (mean of the treated − mean of the controls) × n."""
    n, n_treated, n_control, treated, control = _sums(rows)
    return _from_zero(n, (_ratio(treated, n_treated) - _ratio(control, n_control)) * n)


def qini_curve(rows: Ranked) -> Curve:
    """Of the first n customers: what the treated brought, less what as many controls would have."""
    n, n_treated, n_control, treated, control = _sums(rows)
    return _from_zero(n, treated - control * _ratio(n_treated, n_control))


def uplift_auc(rows: Ranked) -> float:
    """Area between the uplift curve and the diagonal, as a share of that of the perfect order; NaN without one."""
    return _share(uplift_curve(rows), uplift_curve(_perfect_for_uplift(rows)))


def qini_auc(rows: Ranked) -> float:
    """The Qini coefficient: area between the Qini curve and the diagonal, as a share of that of the perfect order.

    The perfect order may contain negative effects (scikit-uplift's `negative_effect=True`, its default).
    """
    return _share(qini_curve(rows), qini_curve(_perfect_for_qini(rows)))


def _share(actual: Curve, perfect: Curve) -> float:
    """Both above the line to the *perfect* curve's end, as scikit-uplift has it; the ends are one."""
    diagonal = float(perfect.n[-1] * perfect.gain[-1] / 2.0)
    best = perfect.area() - diagonal
    return (actual.area() - diagonal) / best if best != 0.0 else float("nan")


def _sums(rows: Ranked) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Up to each point: customers, treated, controls (weighted), and what treated and controls brought."""
    of_treated, of_control = rows.weights * rows.treated, rows.weights * ~rows.treated
    sums = [np.cumsum(one)[rows.ends] for one in (of_treated, of_control, of_treated * rows.y, of_control * rows.y)]
    return (rows.ends + 1.0, *sums)  # type: ignore[return-value]


def _from_zero(n: Floats, gain: Floats) -> Curve:
    return Curve(np.append(0.0, n), np.append(0.0, gain))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0.0)


def _reranked(rows: Ranked, score: Floats) -> Ranked:
    """In another order."""
    return ranked(rows.y, score, rows.treated, weights=rows.weights)


def _perfect_for_qini(rows: Ranked) -> Ranked:
    return _reranked(rows, np.where(rows.treated, rows.y, -rows.y))


def _perfect_for_uplift(rows: Ranked) -> Ranked:
    """Of 0 and 1 as scikit-uplift has it (Devriendt et al.); of amounts as for Qini: it refuses those."""
    if not is_binary(rows.y):
        return _perfect_for_qini(rows)
    control_responders = int(((rows.y == 1) & ~rows.treated).sum())
    treated_silent = int(((rows.y == 0) & rows.treated).sum())
    summand = rows.y if control_responders > treated_silent else rows.treated.astype(np.float64)
    return _reranked(rows, 2.0 * (rows.y == rows.treated) + summand)


def is_binary(y: Floats) -> bool:
    """Whether outcomes are only 0 and 1."""
    return bool(np.isin(y, (0.0, 1.0)).all())
