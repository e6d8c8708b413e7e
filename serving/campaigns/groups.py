"""The customers of a campaign between being read and being decided on, with what they are decided with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from features.packing import CustomerState, Missing
from serving.campaigns.remembering import RememberingRules
from serving.compose import Composer
from serving.deciding import Inquiry
from serving.people import Keys
from serving.scoring import ScoredCustomer
from serving.stock import Stock
from serving.values import Rates


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one stock from group to group."""

    stock: Stock
    composer: Composer
    rules: RememberingRules
    rates: Rates
    until: float


@dataclass(slots=True)
class Read:
    """Customers as they were read, those that are next first; `scored` is None where each is decided as if alone."""

    kept: Kept
    at: datetime
    inquiries: Sequence[Inquiry]
    keys: Sequence[Keys]
    states: Sequence[CustomerState | Missing]
    scored: Sequence[ScoredCustomer] | None = None
    n_taken: int = 0

    def next(self, n: int) -> Read:
        """So many more of them."""
        some = slice(self.n_taken, self.n_taken + n)
        self.n_taken += n
        scored = None if self.scored is None else self.scored[some]
        return Read(self.kept, self.at, self.inquiries[some], self.keys[some], self.states[some], scored)
