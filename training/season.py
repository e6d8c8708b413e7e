"""How much busier the coming window will be than the one that calibrated: as it was a year ago.

Season breaks the level of probabilities, not their order: a model calibrated on autumn says autumn's rate of winter.
With V(w) the orders in a window w of the horizon's length, `last` the calibrating window, `next` the coming one,
`year(w)` the same weeks 364 days earlier, and growth = V(last) ÷ V(year(last)), customers order

    multiplier = V(year(next)) ÷ V(year(last)) × growth^(−(days from last to next) ÷ 364)

times as often as in the calibrating window: the change between the two a year ago, less what the shop grows anyway,
since more customers are not busier ones. Or the level is such that today's customers order as many times as often as
those of the calibrating window did, as there were orders a year ago: for what a model says of them has changed as well,
since after a busy season everybody looks keen, and after a calm one nobody does (training/heads.py). Where the year-ago
calibrating window is only partly known, growth is that of the newest days whose year before is.

An occasion that moves (`brand.yaml`'s `occasions`) moves with its orders: its days are those around its own date a year
ago, and the days on which it fell then count as the ordinary days of the same weekday beside them. One whose days were
like those beside them, as far as is known, is none for this shop.

Orders hold each customer's first, so that a year ago a shop that was gaining its customers looks busier or calmer than
it was. Where no closed window has tried the season, it is believed only where repeat orders per known customer show at
least half of it as well (`is_borne_out`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from features.occasions import OccasionDays
from training.dataset import Source, occasions_of
from training.labels import Window
from training.repeats import Repeats
from training.split import Split

YEAR = timedelta(days=364)  # 52 whole weeks: weekdays stay where they are
DAY, WEEK, NOON = timedelta(days=1), timedelta(days=7), timedelta(hours=12)
FOUR_WEEKS = timedelta(days=28)
FEWEST_DAYS = 7
FEWEST_ORDERS = 100  # in each window: below it the ratio is noise
LOWEST, HIGHEST = 1 / 4, 4.0
FURTHEST_MOVE = timedelta(days=45)  # of an occasion between two years; a lunar month is 30
FELT = 1.25  # how many times the orders of ordinary days, or how many times fewer, show that an occasion is felt at all
BESIDE = 5  # weeks to either side in which ordinary days are looked for
BORNE_OUT = 1 / 2  # of the logarithm of a season that nothing tried: what repeat orders per known customer must show

Count = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Which window a season is asked of, and beside which one.

    Attributes:
        calibrate: where the window that calibrated begins: whole weeks before, so it may end days before `used_at`.
        used_at: where the model stands; the coming window begins there.
        horizon_days: of the label.
        first: the first order that is known.
        occasions: that move from year to year.
    """

    calibrate: datetime
    used_at: datetime
    horizon_days: int
    first: datetime
    occasions: tuple[OccasionDays, ...] = ()

    @classmethod
    def of(cls, source: Source, split: Split) -> Ahead:
        """What lies ahead of a head that these windows teach."""
        return cls(split.calibrate, split.used_at, split.horizon_days, source.first, occasions_of(source))


@dataclass(frozen=True, slots=True)
class Change:
    """From the calibrating window to the coming one, as a year ago.

    Attributes:
        busier: how much more often a customer orders, less what the shop grows anyway; unbounded.
        orders: how many times as many orders there are, growth included; unbounded.
    """

    busier: float
    orders: float


def season_multiplier(n_orders: Count, ahead: Ahead) -> float:
    """How much more often customers will order in the coming window than in the one that calibrated.

    Args:
        n_orders: in a window that is closed by `ahead.used_at`.
        ahead: of what.

    Returns:
        A multiplier in [1/4, 4]; 1 where a year ago is not known, or holds too little.
    """
    change = season_change(n_orders, ahead)
    return 1.0 if change is None else bounded(change.busier)


def season_change(n_orders: Count, ahead: Ahead) -> Change | None:
    """How the coming window will differ from the one that calibrated.

    Args:
        n_orders: in a window that is closed by `ahead.used_at`.
        ahead: of what.

    Returns:
        None where a year ago is not known, or holds too little.
    """
    found = counts_of(n_orders, ahead)
    return None if found is None or found.fewest < FEWEST_ORDERS else found.change()


def is_borne_out(n_orders: Count, repeats: Repeats, ahead: Ahead) -> bool:
    """Whether repeat orders per known customer show the season too, at least half of it in logarithms.

    Args:
        n_orders: in a window that is closed by `ahead.used_at`.
        repeats: of the same shop.
        ahead: of what.

    Returns:
        False also where a year ago holds too few repeat orders to tell.
    """
    of_all, of_repeats, per_customer = (
        counts_of(count, ahead) for count in (n_orders, repeats.n, repeats.per_customer)
    )
    if of_all is None or of_repeats is None or per_customer is None:
        return False
    if min(of_all.fewest, of_repeats.fewest) < FEWEST_ORDERS:
        return False
    said, shown = (float(np.log(found.change().busier)) for found in (of_all, per_customer))
    return said * shown >= BORNE_OUT * said**2


@dataclass(frozen=True, slots=True)
class Counts:
    """Orders of the four windows that tell a season, and how many years lie between calibration and now."""

    then: float
    now: float
    year_next: float
    last: float
    apart: float

    @property
    def fewest(self) -> float:
        """Of the four."""
        return min(self.then, self.now, self.year_next, self.last)

    def change(self) -> Change:
        """From the calibrating window to the coming one."""
        growth = self.now / self.then
        busier = growth ** (1.0 - self.apart) * self.year_next / self.last
        return Change(busier, busier * growth**self.apart)


def counts_of(n_orders: Count, ahead: Ahead) -> Counts | None:
    """None where a year ago is not known."""
    reach, calibrate, used_at = timedelta(days=ahead.horizon_days), ahead.calibrate, ahead.used_at
    if reach > YEAR:
        return None
    calibrating = grown = Window(calibrate, calibrate + reach)
    if calibrate - YEAR < ahead.first:
        overlap = min(reach, used_at - YEAR - ahead.first)
        if overlap < timedelta(days=FEWEST_DAYS):
            return None
        grown = Window(used_at - overlap, used_at)
    past = LastYear(n_orders, ahead.first, used_at, ahead.occasions).of_those_felt()
    return Counts(
        then=past.of(grown),
        now=n_orders(grown),
        year_next=past.of(Window(used_at, used_at + reach)),
        last=n_orders(calibrating),
        apart=(used_at - calibrate) / YEAR,
    )


def bounded(multiplier: float) -> float:
    """What a model may be multiplied by: beyond a factor of four it is another shop, not a season."""
    return float(np.clip(round(multiplier, 6), LOWEST, HIGHEST))


@dataclass(frozen=True, slots=True)
class LastYear:
    """Orders of a year ago, occasions put where they fall this year."""

    n_orders: Count
    first: datetime
    known_until: datetime
    occasions: tuple[OccasionDays, ...]

    def of(self, window: Window) -> float:
        """The orders that a window would have had a year ago."""
        if not self.occasions:
            return self.n_orders(Window(window.start - YEAR, window.end - YEAR))
        days = (window.end - window.start) // DAY
        whole = [window.start + place * DAY for place in range(days)]
        rest = window.end - (window.start + days * DAY)
        left_over = self.n_orders(Window(window.end - rest - YEAR, window.end - YEAR)) if rest else 0
        return sum(self._of_day(start) for start in whole) + left_over

    def of_those_felt(self) -> LastYear:
        """Without occasions whose known days were like the ordinary ones beside them: to move those is to add noise."""
        return replace(self, occasions=tuple(occasion for occasion in self.occasions if self._is_felt(occasion)))

    def _is_felt(self, occasion: OccasionDays) -> bool:
        days = (self.known_until - place * DAY for place in range(1, (self.known_until - self.first) // DAY))
        known = [day for day in days if self._is_known(day) and _felt(occasion, day) is not None]
        ordinary = sum(self._ordinary(day) for day in known)
        return bool(ordinary) and not 1 / FELT < sum(map(self._count, known)) / ordinary < FELT

    def _of_day(self, start: datetime) -> float:
        then = start - YEAR
        for occasion in self.occasions:
            moved = self._moved(occasion, start)
            if moved is not None and self._is_known(start - moved):
                return self._count(start - moved)
        return self._ordinary(then) if self._is_occasion(then) else self._count(then)

    def _moved(self, occasion: OccasionDays, start: datetime) -> timedelta | None:
        """How far back the same day of the occasion lies; None where this is none, or it is not known a year ago."""
        begins = _felt(occasion, start)
        if begins is None:
            return None
        before = [day for day in occasion.begins if abs(begins - YEAR - day) <= FURTHEST_MOVE]
        return begins - min(before, key=lambda day: abs(begins - YEAR - day)) if before else None

    def _is_occasion(self, start: datetime) -> bool:
        return any(_felt(occasion, start) is not None for occasion in self.occasions)

    def _ordinary(self, start: datetime) -> float:
        """The mean of the nearest days of the same weekday, on either side, that are no occasion."""
        found: list[float] = []
        for way in (-WEEK, WEEK):
            beside = (start + weeks * way for weeks in range(1, BESIDE + 1))
            found += [self._count(day) for day in beside if self._is_known(day) and not self._is_occasion(day)][:1]
        return sum(found) / len(found) if found else self._count(start)

    def _count(self, start: datetime) -> float:
        return float(self.n_orders(Window(start, start + DAY)))

    def _is_known(self, start: datetime) -> bool:
        return self.first <= start and start + DAY <= self.known_until


def _felt(occasion: OccasionDays, start: datetime) -> date | None:
    """The date whose occasion the day that begins then belongs to; None where it is an ordinary day."""
    day = (start + NOON).date()
    near = (begins for begins in occasion.begins if -occasion.days_before <= (day - begins).days <= occasion.days_after)
    return next(near, None)
