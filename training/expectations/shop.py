"""What was known of a shop as of several days before a cutoff, each read and fitted once.

Every expectation as of a day rests on what was known then, parameters of the models of repeat buying included: what
they say of a window that has closed is what they would have said on the day, so that their errors are true ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.dataset import Source
from training.gamma_gamma import GammaGamma, fit_gamma_gamma
from training.labels import Window
from training.order_days import Buyers, OrderDays
from training.pareto_nbd import ParetoNbd, fit_pareto_nbd
from training.repeat_buying import BG_NBD as BG_NBD
from training.repeat_buying import DAYS_A_WEEK, BgNbd, History, fit_bgnbd
from training.repeat_buying import PARETO_NBD as PARETO_NBD
from training.repeats import DAY_US, Repeats
from training.served.expectations import LEAST
from training.served.expectations import REPEAT as REPEAT

Floats = NDArray[np.float64]

FEWEST_BUYERS = 30  # for four parameters
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FITS: dict[str, Callable[[History], BgNbd | ParetoNbd]] = {BG_NBD: fit_bgnbd, PARETO_NBD: fit_pareto_nbd}


@dataclass
class Shop:
    """A shop's orders before a cutoff, and its snapshots.

    Attributes:
        orders: all that is known; nothing of the cutoff's day or later.
        cutoff: as an instant.
        day: the same, as a day of `orders`.
        source: of snapshots; known until the cutoff.
    """

    orders: OrderDays
    cutoff: datetime
    day: int
    source: Source
    _buyers: dict[int, Buyers] = field(default_factory=dict, repr=False)
    _fits: dict[int, dict[str, BgNbd | ParetoNbd]] = field(default_factory=dict, repr=False)
    _gammas: dict[int, GammaGamma | None] = field(default_factory=dict, repr=False)
    _X: dict[int, Floats] = field(default_factory=dict, repr=False)
    _expected: dict[tuple[int, int], dict[str, Floats]] = field(default_factory=dict, repr=False)

    @property
    def n_days(self) -> int:
        """From the first order to the cutoff."""
        return self.day - int(self.orders.days[0])

    def standing(self, day: int) -> Shop | None:
        """The same shop as it was known as of an earlier day, with what was read and fitted; None before any order."""
        known = self.orders.before(day)
        if not len(known.days):
            return None
        return replace(self, orders=known, cutoff=self.cutoff - timedelta(days=self.day - day), day=day)

    def fitted(self, fits: Iterable[BgNbd | ParetoNbd]) -> Shop:
        """The same with the models of repeat buying as of its cutoff, which somebody has fitted already."""
        named = {PARETO_NBD if isinstance(fit, ParetoNbd) else BG_NBD: fit for fit in fits}
        return replace(self, _fits=self._fits | {self.day: named}, _expected={})

    def buyers(self, day: int) -> Buyers:
        """Who had ordered before a day."""
        if day not in self._buyers:
            self._buyers[day] = self.orders.buyers(day)
        return self._buyers[day]

    def fits(self, day: int) -> dict[str, BgNbd | ParetoNbd]:
        """BG/NBD and Pareto/NBD, fitted to what was known as of a day; none where too few bought, or none again."""
        if day not in self._fits:
            history = self.buyers(day).history()
            enough = len(history.x) >= FEWEST_BUYERS and bool((history.x > 0).any())
            with np.errstate(all="ignore"):
                self._fits[day] = {name: fit(history) for name, fit in _FITS.items()} if enough else {}
        return self._fits[day]

    def expected(self, day: int, *, horizon_days: int) -> dict[str, Floats]:
        """Expected order-days of each buyer as of a day, by each model of repeat buying; each of shape `(n,)`."""
        if (day, horizon_days) not in self._expected:
            history, weeks = self.buyers(day).history(), horizon_days / DAYS_A_WEEK
            with np.errstate(all="ignore"):
                said = {name: fit.expected(history, weeks=weeks) for name, fit in self.fits(day).items()}
            finite = {name: np.maximum(of, LEAST) for name, of in said.items() if np.isfinite(of).all()}
            self._expected[day, horizon_days] = finite
        return self._expected[day, horizon_days]

    def gamma_gamma(self, day: int) -> GammaGamma | None:
        """What an order-day brings, fitted to what was known as of a day; None where there is too little money."""
        if day not in self._gammas:
            buyers = self.buyers(day)
            try:
                self._gammas[day] = fit_gamma_gamma(buyers.n_valued, buyers.mean_value())
            except ValueError:
                self._gammas[day] = None
        return self._gammas[day]

    def value(self, day: int) -> Floats | None:
        """What an order-day of each buyer is expected to bring (gamma-gamma); None where there is too little money."""
        fitted, buyers = self.gamma_gamma(day), self.buyers(day)
        return None if fitted is None else np.asarray(fitted.expected(buyers.n_valued, buyers.mean_value()))

    def X(self, day: int) -> Floats:  # noqa: N802 (the design matrix, by its field's name)
        """The snapshot's inputs of each buyer as of a day, shape `(n, n_inputs)`; NaN where unknown."""
        if day not in self._X:
            snapshot = self.source.snapshot(self.cutoff - timedelta(days=self.day - day))
            self._X[day] = aligned(self.buyers(day).keys, snapshot.customer_keys, snapshot.X.astype(np.float64))
        return self._X[day]

    @cached_property
    def repeats(self) -> Repeats:
        """Order-days after each customer's first, and when each became known."""
        return Repeats.of(self.orders.customer_keys, self.orders.days * DAY_US)

    def n_orders(self, window: Window) -> int:
        """How many order-days there were in a window, by its days in UTC."""
        start = (window.start - EPOCH).days
        return self.orders.n_within(day=start, horizon_days=(window.end - EPOCH).days - start)


def aligned(asked: NDArray[np.int64], keys: NDArray[np.int64], values: Floats) -> Floats:
    """Rows of `values`, which belong to rising `keys`, for the keys asked; NaN for those that are not there."""
    if not len(keys):
        return np.full((len(asked), *values.shape[1:]), np.nan)
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found = keys[place] == asked
    return np.where(found.reshape(-1, *([1] * (values.ndim - 1))), values[place], np.nan)
