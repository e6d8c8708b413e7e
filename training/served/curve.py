"""P(an order within t days) for any t: through calibrated horizons, shaped between and beyond them by repeat buying.

With Λ(t) = −ln(1 − P(t)), a customer's cumulative intensity, the models of repeat buying say its shape Λ₀ (their mean
P), and a calibrated horizon h says its height: between two of them Λ rises as Λ₀ does, and it is Λ(h) · Λ₀(t) ÷ Λ₀(h)
before the first and after the last, where a year ago each four weeks were as much busier as `year` says. Λ₀ never
falls, so neither does P, whatever t. Of a customer whom repeat buying
gives up altogether its shape is only noise: there Λ₀(t) is t, a steady pace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.calibration import SMALLEST_PROBABILITY

Floats = NDArray[np.float64]

LONGEST_DAYS = 365
INTERVAL = 0.8
SHARES = (0.1, 0.9)  # of it
NEVER = 1e-12  # an intensity below which the shape is noise
DAYS_A_BLOCK = 28  # of `year`
GRID = 48  # days at which a quantile is looked for; between them the intensity is taken as linear


@dataclass(frozen=True)
class Curve:
    """Of some customers, in their order.

    Attributes:
        shape: P(an order within t days) by the models of repeat buying, shape `(n,)`, for a t in days.
        anchors: calibrated P by horizon in days, each of shape `(n,)`; at least one.
        year: how much busier customers are than within the longest of them in each 28 days behind it, the last for all
            that follows; as busy where it is empty.
    """

    shape: Callable[[float], Floats]
    anchors: Mapping[int, Floats]
    year: Sequence[float] = ()

    def p_any(self, days: float) -> Floats:
        """P(an order within so many days), shape `(n,)`; never less than for fewer days."""
        return np.asarray(-np.expm1(-self.intensity(days)))

    def intensity(self, days: float) -> Floats:
        """−ln(1 − P), shape `(n,)`."""
        horizons, heights, knots = self._horizons, self._heights, self._knots
        at = self.rises(days)
        after = int(np.searchsorted(horizons, days))
        if after == 0:
            return np.asarray(heights[0] * np.minimum(at / knots[0], 1.0))
        if after == len(horizons):
            return np.asarray(heights[-1] * self._beyond(days, at))
        below, above = knots[after - 1], knots[after]
        steady = (days - horizons[after - 1]) / (horizons[after] - horizons[after - 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(above > below, np.clip((at - below) / (above - below), 0.0, 1.0), steady)
        between = heights[after - 1] + share * (heights[after] - heights[after - 1])
        return np.minimum(between, heights[after])  # the sum may be one bit more than where it leads to

    def _beyond(self, days: float, at: Floats) -> Floats:
        """How many times the longest horizon's height that of a longer one is, shape `(n,)`."""
        return beyond(self.rises, self._horizons[-1], days, year=self.year, at=at, known=self._rises_by_block)

    @cached_property
    def _horizons(self) -> list[int]:
        return sorted(self.anchors)

    @cached_property
    def _rises_by_block(self) -> dict[int, Floats]:
        return {}

    @cached_property
    def _heights(self) -> list[Floats]:
        told = [_intensity(np.maximum(self.anchors[horizon], SMALLEST_PROBABILITY)) for horizon in self._horizons]
        return list(np.maximum.accumulate(told))

    @cached_property
    def _given_up(self) -> NDArray[np.bool_]:
        """Of whom the shape says nothing that floating point could tell from never, shape `(n,)`."""
        return _intensity(self.shape(self._horizons[0])) < NEVER

    @cached_property
    def _knots(self) -> list[Floats]:
        return [self.rises(horizon) for horizon in self._horizons]

    def rises(self, days: float) -> Floats:
        """Λ₀, up to a factor of each customer's own, shape `(n,)`; more than 0."""
        shape = np.maximum(_intensity(self.shape(days)), NEVER * min(1.0, days / self._horizons[0]))
        return np.where(self._given_up, days, shape)

    def still_buying(self, if_here: Floats) -> Floats:
        """P(the customer is not gone), shape `(n,)`: never less than P(an order within a year).

        Nobody sees whether a customer is gone, only who orders, so it is what explains the calibrated curve: P(an order
        within a year) = P(still buying) x P(an order within a year, if still buying).

        Args:
            if_here: the latter, by the models of repeat buying; NaN where they say nothing, and so does the answer.
        """
        within = self.p_any(LONGEST_DAYS)
        return np.asarray(np.clip(within / np.maximum(if_here, SMALLEST_PROBABILITY), within, 1.0))

    def laid_out(self, *, longest_days: int = LONGEST_DAYS) -> LaidOut:
        """The curve at some days up to the longest, to look waiting times up in."""
        grid = np.unique(np.round(np.geomspace(1, longest_days, GRID)))
        return LaidOut(grid, np.stack([self.intensity(day) for day in grid]))


def beyond(
    rises: Callable[[float], Floats],
    horizon_days: int,
    days: float,
    *,
    year: Sequence[float],
    at: Floats,
    known: dict[int, Floats],
) -> Floats:
    """How many times what comes within a horizon comes within more days, shape `(n,)`: at least once.

    Args:
        rises: what grows with the days by itself, each of shape `(n,)`, more than 0.
        horizon_days: of the horizon.
        days: more than that.
        year: how much faster it grows in each 28 days behind the horizon, the last for all that follows.
        at: what `rises` says of the days.
        known: what it says of the ends of those 28 days, as far as somebody asked; filled here.
    """
    if horizon_days not in known:
        known[horizon_days] = rises(horizon_days)
    knot = known[horizon_days]
    if not len(year):
        return np.maximum(at / knot, 1.0)
    total, before = np.ones_like(knot), knot
    for place, busier in enumerate(year[:-1]):
        end = horizon_days + (place + 1) * DAYS_A_BLOCK
        if days <= end:
            return np.asarray(total + busier * np.maximum(at - before, 0.0) / knot)
        if end not in known:
            known[end] = rises(end)
        total = total + busier * np.maximum(known[end] - before, 0.0) / knot
        before = np.maximum(known[end], before)
    return np.asarray(total + year[-1] * np.maximum(at - before, 0.0) / knot)


@dataclass(frozen=True)
class LaidOut:
    """A curve at some days, between which the intensity is taken as linear.

    Attributes:
        grid: rising whole days from 1, shape `(m,)`.
        heights: the intensity by then, shape `(m, n)`.
    """

    grid: Floats
    heights: Floats

    def days_until(self, shares: Sequence[float]) -> Floats:
        """The first whole day by which P has reached each share, shape `(n_shares, n)`; infinite where it has not."""
        levels = -np.log1p(-np.asarray(shares, dtype=np.float64))
        return np.stack([_first_day(self.grid, self.heights, level) for level in levels])

    def p_by(self, days: Floats) -> Floats:
        """P(an order within each customer's own number of days), shape `(n,)`; 0 for no day, 1 for an infinite one."""
        at = np.clip(days, 0.0, self.grid[-1])
        after = np.clip(np.searchsorted(self.grid, at, side="left"), 0, len(self.grid) - 1)
        everyone = np.arange(len(days))
        low = np.where(after > 0, self.grid[after - 1], 0.0)
        base = np.where(after > 0, self.heights[after - 1, everyone], 0.0)
        share = (at - low) / (self.grid[after] - low)
        height = base + share * (self.heights[after, everyone] - base)
        return np.where(np.isinf(days), 1.0, -np.expm1(-height))


def coverage(low: Floats, high: Floats, waits: Floats, *, horizon_days: int) -> float:
    """The share of customers whose next order fell inside their interval, as far as a window shows.

    Whatever comes after the window is one outcome, "later": an interval that reaches beyond it holds that too.

    Args:
        low: first day of each interval, 1 for the day of the cutoff itself; shape `(n,)`.
        high: last day; infinite where there is none.
        waits: on which such day each customer ordered; infinite where not within the window.
        horizon_days: of the window.
    """
    within = np.where(waits <= horizon_days, waits, np.inf)
    inside = (np.minimum(low, horizon_days + 1) <= within) & (within <= high)
    later = np.isinf(within) & (high > horizon_days)
    return float(np.mean(np.where(np.isinf(within), later, inside)))


def said_coverage(curve: LaidOut, low: Floats, high: Floats, *, horizon_days: int) -> float:
    """The mean probability that the curve itself gives those intervals, by the same rule as `coverage`."""
    before = curve.p_by(np.minimum(low, horizon_days + 1) - 1)
    until = curve.p_by(np.where(high > horizon_days, np.inf, high))
    return float(np.mean(until - before))


def _intensity(probability: Floats) -> Floats:
    kept = np.clip(probability, 0.0, 1.0 - SMALLEST_PROBABILITY)
    return np.asarray(-np.log1p(-kept))


def _first_day(grid: Floats, heights: Floats, level: float) -> Floats:
    """The first whole day at which each column of heights (one a grid day) reaches a level; infinite where none."""
    reached = heights >= level
    place = np.argmax(reached, axis=0)
    before = np.maximum(place - 1, 0)
    everyone = np.arange(heights.shape[1])
    low, high = heights[before, everyone], heights[place, everyone]
    share = np.where(place > 0, (level - low) / np.maximum(high - low, 1e-12), 1.0)
    day = np.where(place > 0, grid[before] + share * (grid[place] - grid[before]), grid[0])
    return np.where(reached.any(axis=0), np.ceil(day - 1e-9), np.inf)
