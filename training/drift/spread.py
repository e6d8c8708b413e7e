"""How one quantity is spread over customers, and how far two such spreads lie apart.

*PSI*, the population stability index, is the sum of (p − q) · ln(p / q) over groups that hold about a tenth each of the
reference. Two samples of one population differ too: their PSI is (1/n + 1/m) times a chi-squared variable with one
degree of freedom fewer than there are groups, so `chance` knows by how much n and m customers differ for no reason.
*KS*, of Kolmogorov and Smirnov, is the widest gap between the cumulative shares, at the twentieths that are kept.

References:
    Yurdakul (2018), Statistical Properties of Population Stability Index, theorem 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32] | NDArray[np.float64]

TWENTIETHS = np.arange(1, 20) / 20.0
OF_A_GROUP = 0.1  # of the reference: PSI is counted over tenths, as everywhere that its 0.1 and 0.25 are known
OF_A_CATEGORY = 0.02  # of the reference: rarer ones are counted together
HALF = 0.5  # a customer more in every group: none is empty, so that its logarithm is a number


@dataclass(frozen=True, slots=True)
class Spread:
    """Customers by what is known of one quantity.

    Attributes:
        is_category: whether the values are codes, which have no order.
        low: the least value of the reference; edges: rising, the upper ends of the cells.
        counts: below `low`, in each cell, and above the last edge: `len(edges) + 2`.
        n_unknown: customers of whom it is not known.
    """

    is_category: bool
    low: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n_unknown: int

    @classmethod
    def of(cls, values: Values, *, n_categories: int | None = None) -> Spread:
        """The spread of a reference, which sets the cells: a code each, or twentieths.

        Args:
            values: shape `(n,)`, NaN where unknown.
            n_categories: where the values are codes, how many there are.
        """
        known = _as_kept(values[~np.isnan(values)])
        if n_categories is not None:
            low, edges = 0.0, np.arange(n_categories, dtype=np.float64)
        elif len(known):
            low, edges = float(known.min()), np.unique(np.quantile(known, TWENTIETHS, method="inverted_cdf"))
        else:
            low, edges = 0.0, np.empty(0)
        cells = cls(n_categories is not None, low, tuple(edges.tolist()), (), 0)
        return cells.counted(values)

    def counted(self, values: Values) -> Spread:
        """Other customers in the same cells."""
        cell = self.cells(values[~np.isnan(values)])
        counts = np.bincount(cell, minlength=len(self.edges) + 2)
        return replace(self, counts=tuple(counts.tolist()), n_unknown=len(values) - len(cell))

    @property
    def n_known(self) -> int:
        """Customers of whom it is known."""
        return sum(self.counts)

    @property
    def n(self) -> int:
        """All of them."""
        return self.n_known + self.n_unknown

    @property
    def unknown_rate(self) -> float:
        """The share of whom it is not known; 0 of nobody."""
        return self.n_unknown / self.n if self.n else 0.0

    @property
    def groups(self) -> NDArray[np.intp]:
        """Which group of PSI each cell belongs to, from 0; set by a reference's counts."""
        return _of_categories(self.counts) if self.is_category else _of_numbers(self.counts)

    @property
    def ends(self) -> NDArray[np.float64]:
        """The upper end of each cell; of the last, which has none, the highest that is known."""
        return np.array([self.low, *self.edges, self.edges[-1] if self.edges else self.low])

    def cells(self, known: Values) -> NDArray[np.intp]:
        """The cell of each value, none of which is NaN."""
        kept = _as_kept(known)
        cell = np.searchsorted(np.array(self.edges), kept, side="left") + 1
        cell[kept < self.low] = 0
        return cell

    def as_dict(self) -> dict[str, Any]:
        """For `reference.json`."""
        told: dict[str, Any] = {"edges": [_short(edge) for edge in self.edges], "counts": list(self.counts)}
        told["unknown"] = self.n_unknown
        return told | ({"category": True} if self.is_category else {"low": _short(self.low)})

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Spread:
        """The reverse of `as_dict`."""
        ends = _as_kept(np.array([told.get("low", 0.0), *told["edges"]]))
        counts = tuple(map(int, told["counts"]))
        return cls(bool(told.get("category")), float(ends[0]), tuple(ends[1:].tolist()), counts, int(told["unknown"]))


def psi(then: Spread, now: Spread) -> float:
    """The population stability index between a reference and other customers, of what is known of them."""
    groups = then.groups
    p, q = (_shares(np.bincount(groups, weights=one.counts).astype(np.float64)) for one in (then, now))
    return float(((q - p) * np.log(q / p)).sum())


def chance(then: Spread, now: Spread, *, alpha: float) -> float:
    """The PSI that two samples of one population exceed with the probability `alpha`."""
    from scipy.stats import chi2

    freedom = max(int(then.groups.max()), 1)
    return float(chi2.isf(alpha, freedom)) * _inverse_sizes(then, now)


def expected(then: Spread, now: Spread) -> float:
    """The mean PSI of two samples of one population."""
    return max(int(then.groups.max()), 1) * _inverse_sizes(then, now)


def ks(then: Spread, now: Spread) -> float | None:
    """The widest gap between both cumulative shares; None of codes, which have no order, and of nobody."""
    if then.is_category or not then.n_known or not now.n_known:
        return None
    below = [np.cumsum(one.counts) / one.n_known for one in (then, now)]
    return float(np.abs(below[0] - below[1]).max())


def _inverse_sizes(then: Spread, now: Spread) -> float:
    return 1.0 / max(then.n_known, 1) + 1.0 / max(now.n_known, 1)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((counts + HALF) / (counts.sum() + HALF * len(counts)))


def _of_numbers(counts: tuple[int, ...]) -> NDArray[np.intp]:
    """Neighbours come together up to a tenth; where the reference had nobody outside, with the nearest that it had.

    Of a constant what lies outside stays by itself. Elsewhere an empty group would be no tenth: five customers of a
    hundred who are a little below whoever was the lowest would make a PSI of 0.24, where nearly nothing has moved.
    """
    groups, group, held, enough = [0], 1, 0, OF_A_GROUP * sum(counts)
    for count in counts[1:-1]:
        if held >= enough > 0:
            group, held = group + 1, 0
        groups.append(group)
        held += count
    last = group if held < enough and group > 1 else group + 1
    found = np.array([*groups, last][: len(counts)], dtype=np.intp)
    if group == 1:
        return found
    return np.clip(found, 1, last if counts[-1] else group) - 1


def _of_categories(counts: tuple[int, ...]) -> NDArray[np.intp]:
    """A group each; the rare and what was never seen together in group 0."""
    is_rare = np.array(counts) < max(OF_A_CATEGORY * sum(counts), 1.0)
    return np.where(is_rare, 0, np.cumsum(~is_rare))


def _as_kept(values: Values) -> NDArray[np.float64]:
    """As float32, which is what models see of features: a value on an edge is on it when that was read again too."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def _short(value: float) -> float:
    """The fewest digits that are the same float32."""
    return float(str(np.float32(value)))
