"""At most so many customers of a source, the same at every instant, for what more of them would not tell better.

Which recipe is best shows in paired differences of log-loss: over 80,000 customers their standard error is about
0.00025, an eighth of what a recipe must be better by (`training.recipes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset import Snapshot, Source
from training.labels import Window

ENOUGH_CUSTOMERS = 80_000  # that choose a recipe: half of them teach, the others calibrate
_SPREAD = np.uint64(0xD1B54A32D192ED03)  # another than that of folds: who is drawn says nothing of the fold
_LOTS = 4_096


def some_customers(source: Source, *, most: int = ENOUGH_CUSTOMERS) -> Source:
    """The source itself where it has no more customers, else one that knows about `most` of them."""
    n_customers = len(source.snapshot(source.known_until).customer_keys)
    return source if n_customers <= most else SomeCustomers(source, share=most / n_customers)


def who_taught(source: Source) -> dict[str, Any]:
    """What model.json keeps of how many of how many customers teach and judge; nothing where it is everybody."""
    draw = getattr(source, "draw", None)  # a workspace's, where it has more customers than brand.yaml says
    if draw is None:
        return {}
    return {"customers": {"drawn": len(source.snapshot(source.known_until).customer_keys), "of": draw.n_customers}}


def lines_of(description: Mapping[str, Any]) -> tuple[str, ...]:
    """The same for people, a sentence; none where it is everybody."""
    if "customers" not in description:
        return ()
    drawn, of = (int(description["customers"][name]) for name in ("drawn", "of"))
    return (f"{drawn:,} of {of:,} customers, drawn by their key, taught and judged it (training.customers).",)


class SomeCustomers:
    """A source with a share of another's customers; what the other knows of the whole shop, it knows too.

    Args:
        source: of all of them.
        share: of the customers, in (0, 1); each is drawn by the key.
    """

    def __init__(self, source: Source, *, share: float) -> None:
        self.whole, self._most = source, max(round(share * _LOTS), 1)
        self._snapshots: dict[datetime, Snapshot] = {}
        self.inputs, self.categories, self.schema_version = source.inputs, source.categories, source.schema_version
        self.first, self.known_until = source.first, source.known_until

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)  # what not every source has: the brand, occasions, repeat orders

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        """As the other does."""
        self.whole.prepare(as_ofs)

    def snapshot(self, as_of: datetime) -> Snapshot:
        """The rows of those who were drawn."""
        if as_of not in self._snapshots:
            whole = self.whole.snapshot(as_of)
            drawn = self._drawn(whole.customer_keys)
            self._snapshots[as_of] = Snapshot(as_of, whole.customer_keys[drawn], whole.X[drawn])
        return self._snapshots[as_of]

    def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        """Keys of all who ordered, drawn or not."""
        return self.whole.happened(as_of, horizon_days)

    def n_orders(self, window: Window) -> int:
        """Of the whole shop: only their change from window to window is used."""
        return self.whole.n_orders(window)

    def fingerprint(self) -> str:
        """Of the whole data."""
        return self.whole.fingerprint()

    def _drawn(self, customer_keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        spread = customer_keys.astype(np.uint64) * _SPREAD
        return np.asarray((spread >> np.uint64(40)) % np.uint64(_LOTS) < np.uint64(self._most))
