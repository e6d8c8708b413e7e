"""Season: pay days, weekdays and festivals that move from year to year, by region."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from experiments.simulator.kinds import FESTIVE_PULL, KINDS

REGIONS = ("IN", "TH", "GB")
REGION_SHARES = (0.62, 0.26, 0.12)
TIME_ZONES = ("Asia/Kolkata", "Asia/Bangkok", "Europe/London")

RUN_UP_DAYS = 21
HANGOVER_DAYS = 10

# What people buy for, and how strongly it moves a shop of this kind (1 = the strongest festival of the region).
_WEIGHTS = {
    "IN": {"Diwali": 1.0, "Raksha Bandhan": 0.5, "Holi": 0.35, "Christmas": 0.25},
    "TH": {"Songkran Festival": 1.0, "New Year's Eve": 0.7},
    "GB": {"Christmas Day": 1.0, "Good Friday": 0.4},
}
# Easter is what the run-up leads to; the package lists the Friday before it for the whole of the United Kingdom.
_RENAMED = {"Good Friday": ("Easter", 2), "Christmas Day": ("Christmas", 0), "Songkran Festival": ("Songkran", 0)}

# Monday first: shopping grows towards the weekend.
_WEEKDAY = np.array([0.9, 0.9, 0.93, 0.98, 1.07, 1.14, 1.08])
_PAY_DAYS = 5
_PAY_DAY_FACTOR = 1.15
# January to December, before festivals: hot and rainy months are slower.
_MONTH = np.array([0.95, 0.95, 1.0, 1.02, 1.05, 0.97, 0.93, 0.95, 1.0, 1.04, 1.08, 1.06])


@dataclass(frozen=True, slots=True)
class Festival:
    """One festival on its first day."""

    name: str
    region: str
    on: dt.date
    weight: float


@lru_cache(maxsize=64)
def _festivals_of_year(region: str, year: int) -> tuple[Festival, ...]:
    import holidays

    language = None if region == "GB" else "en_US"
    categories = ("public", "optional") if region == "IN" else ("public",)
    days = holidays.country_holidays(region, years=year, language=language, categories=categories)
    found: dict[str, dt.date] = {}
    for on, names in sorted(days.items()):
        for name in names.split("; "):
            if name in _WEIGHTS[region] and on.year == year:
                found.setdefault(name, on)
    festivals = []
    for name, on in found.items():
        shown, shift = _RENAMED.get(name, (name, 0))
        festivals.append(Festival(shown, region, on + dt.timedelta(days=shift), _WEIGHTS[region][name]))
    return tuple(festivals)


def festivals(region: str, *, first: dt.date, last: dt.date) -> tuple[Festival, ...]:
    """The festivals of a region whose first day lies in [first, last], in time order."""
    years = range(first.year, last.year + 1)
    found = (festival for year in years for festival in _festivals_of_year(region, year))
    return tuple(sorted((f for f in found if first <= f.on <= last), key=lambda f: f.on))


@dataclass(frozen=True, slots=True)
class Season:
    """Season of consecutive days from `first`.

    Attributes:
        factor: (n_days, n_kinds × n_regions) multiplier of the organic order rate; column = kind × n_regions + region.
        visits: the same for visits, where a festival pulls half as strongly.
        is_festive: (n_days, n_regions) whether a festival is at most four weeks ahead or two days behind.
    """

    first: dt.date
    factor: npt.NDArray[np.float32]
    visits: npt.NDArray[np.float32]
    is_festive: npt.NDArray[np.bool_]


def season(first: dt.date, *, n_days: int) -> Season:
    """The season of `n_days` days from `first`."""
    days = [first + dt.timedelta(days=day) for day in range(n_days)]
    common = np.array(
        [
            _WEEKDAY[day.weekday()] * _MONTH[day.month - 1] * (_PAY_DAY_FACTOR if day.day <= _PAY_DAYS else 1.0)
            for day in days
        ]
    )
    pull = np.zeros((n_days, len(REGIONS)))
    after = np.ones((n_days, len(REGIONS)))
    is_festive = np.zeros((n_days, len(REGIONS)), dtype=bool)
    margin = dt.timedelta(days=60)
    for column, region in enumerate(REGIONS):
        for festival in festivals(region, first=first - margin, last=first + dt.timedelta(days=n_days) + margin):
            ahead = (festival.on - first).days - np.arange(n_days)
            ramp = np.where((ahead >= 0) & (ahead <= RUN_UP_DAYS), 1.0 - 0.8 * np.abs(ahead - 5) / RUN_UP_DAYS, 0.0)
            pull[:, column] = np.maximum(pull[:, column], festival.weight * ramp)
            behind = (-ahead >= 1) & (-ahead <= HANGOVER_DAYS)
            after[behind, column] = np.minimum(after[behind, column], 1.0 - 0.25 * festival.weight)
            is_festive[:, column] |= (ahead <= 28) & (ahead >= -2)
    by_kind = np.asarray(FESTIVE_PULL)[None, :, None]
    festive = (1.0 + by_kind * pull[:, None, :]) * after[:, None, :]
    shape = (n_days, len(KINDS) * len(REGIONS))
    factor = (common[:, None, None] * festive).reshape(shape)
    visits = (common[:, None, None] * (1.0 + 0.5 * (festive - 1.0))).reshape(shape)
    return Season(first, factor.astype(np.float32), visits.astype(np.float32), is_festive)
