"""What happened next: labels over half-open windows [as_of, as_of + horizon)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The half-open stretch [start, end) of time that a label looks at.

    Two windows that meet share no instant: an order at `end` belongs to the next one.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"A window's ends know their time zone; got {self.start} and {self.end}.")
        if self.end <= self.start:
            raise ValueError(f"A window ends after it starts; got {self.start} to {self.end}.")

    def holds(self, instant: datetime) -> bool:
        """Whether the instant lies in it."""
        return self.start <= instant < self.end

    def is_closed_by(self, instant: datetime) -> bool:
        """Whether everything in it has happened when one stands at `instant`."""
        return self.end <= instant

    def as_list(self) -> list[str]:
        """Both ends as ISO dates, for model.json."""
        return [self.start.isoformat(), self.end.isoformat()]


def label_window(as_of: datetime, horizon_days: int) -> Window:
    """What a label of this horizon looks at, standing at `as_of`."""
    if horizon_days < 1:
        raise ValueError(f"Asked for a horizon of {horizon_days} days; a horizon is at least one day.")
    return Window(as_of, as_of + timedelta(days=horizon_days))


def require_closed(window: Window, *, known_until: datetime) -> None:
    """Refuses a label whose window is still open.

    Raises:
        CallersMistake: with the day on which the window closes, and the newest as_of that would do.
    """
    if window.is_closed_by(known_until):
        return
    days = (window.end - window.start).days
    newest = known_until - timedelta(days=days)
    raise CallersMistake(
        f"Asked for a {days}-day label as of {window.start:%Y-%m-%d}, but events end on {known_until:%Y-%m-%d}. "
        f"The window closes on {window.end:%Y-%m-%d}; use an as_of of {newest:%Y-%m-%d} or earlier, or wait."
    )


def label(customer_keys: NDArray[np.int64], *, happened: NDArray[np.int64]) -> NDArray[np.uint8]:
    """1 for each customer to whom it happened, else 0; in the order of `customer_keys`."""
    return np.isin(customer_keys, happened).astype(np.uint8)


def base_rate(labels: NDArray[np.uint8] | Sequence[int]) -> float:
    """The share of ones."""
    return float(np.mean(labels))
