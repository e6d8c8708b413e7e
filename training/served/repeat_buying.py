"""What the models of repeat buying say of some customers: by when an order, whether they are gone, how many orders.

Their mean speaks, of each customer who ever bought. Of the others they know nothing: P is 0 for them, the rest NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.pareto_nbd import ParetoNbd
from training.repeat_buying import BG_NBD, DAYS_A_WEEK, PARETO_NBD, BgNbd, History

Floats = NDArray[np.float64]
Repeat = BgNbd | ParetoNbd


@dataclass(frozen=True)
class Rhythm:
    """Of some customers, in their order.

    Attributes:
        fits: the fitted models, at least one.
        history: of the customers, NaN of those who never bought; shapes `(n,)`.
    """

    fits: Sequence[Repeat]
    history: History
    _alive: list[Floats] = field(default_factory=list, init=False, repr=False)

    @property
    def bought(self) -> NDArray[np.bool_]:
        """Who ever did, shape `(n,)`."""
        return np.asarray(np.isfinite(self.history.T) & (self.history.x >= 0))

    def named(self) -> dict[str, Repeat]:
        """The fits by what they are called."""
        return {PARETO_NBD if isinstance(fit, ParetoNbd) else BG_NBD: fit for fit in self.fits}

    def p_any(self, days: float) -> Floats:
        """P(an order within so many days), shape `(n,)`; 0 of whoever never bought."""
        said = self._mean(lambda fit, alive: fit.p_any(self.history, weeks=days / DAYS_A_WEEK, alive=alive))
        return np.where(self.bought, said, 0.0)

    def p_any_if_here(self, days: float) -> Floats:
        """The same of customers who are not gone, shape `(n,)`; NaN of whoever never bought."""
        here = np.ones_like(self.history.T)
        return self._mean(lambda fit, _: fit.p_any(self.history, weeks=days / DAYS_A_WEEK, alive=here))

    def _mean(self, said: Callable[[Repeat, Floats], Floats]) -> Floats:
        with np.errstate(all="ignore"):
            if not self._alive:
                self._alive.extend(fit.p_alive(self.history) for fit in self.fits)
            return np.asarray(np.mean([said(*one) for one in zip(self.fits, self._alive, strict=True)], axis=0))
