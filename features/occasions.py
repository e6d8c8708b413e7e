"""Occasions: festivals and sales that fall on another date each year, so that last year's weeks do not show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from features.faults import CallersMistake
from features.parts import Part

IsoDate = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
SAME_OCCASION = timedelta(
    days=14
)  # days of one name nearer than this are one festival: Songkran has three and one in lieu


class Occasion(Part):
    """One occasion: a public holiday by its country and name, or the brand's own dates, one a year."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    holiday: Annotated[str, Field(min_length=1)] | None = None  # its English name, or a part of it
    dates: tuple[IsoDate, ...] = ()
    days_before: Annotated[int, Field(ge=0, le=60)] = 14  # for so long before it people buy differently
    days_after: Annotated[int, Field(ge=0, le=60)] = 2


@dataclass(frozen=True, slots=True)
class OccasionDays:
    """When one occasion begins, a year after the other, and how far around that it is felt."""

    name: str
    begins: tuple[date, ...]
    days_before: int
    days_after: int


def occasion_days(occasions: Mapping[str, Occasion], *, years: Iterable[int]) -> tuple[OccasionDays, ...]:
    """Every occasion's dates in those years.

    Raises:
        CallersMistake: a country or a holiday that the calendar does not know.
    """
    known = tuple(years)
    return tuple(
        OccasionDays(name, begins_of(occasion, years=known), occasion.days_before, occasion.days_after)
        for name, occasion in occasions.items()
    )


def begins_of(occasion: Occasion, *, years: Iterable[int]) -> tuple[date, ...]:
    """The first days of an occasion in those years, rising.

    Raises:
        CallersMistake: as for `occasion_days`, or a date is none that there is.
    """
    own = [_date_of(day) for day in occasion.dates]
    days = sorted({*own, *(_holidays(occasion.country, occasion.holiday, tuple(years)) if occasion.country else ())})
    return tuple(day for place, day in enumerate(days) if not place or day - days[place - 1] > SAME_OCCASION)


def _date_of(day: str) -> date:
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise CallersMistake(
            f"Asked for an occasion on '{day}', which is no day of any year. A date is a day that there is, as "
            "2026-11-08: correct the occasion's `dates`."
        ) from None


def _holidays(country: str, name: str | None, years: tuple[int, ...]) -> list[date]:
    import holidays

    try:
        calendar = holidays.country_holidays(country, years=years, language="en_US")
    except NotImplementedError:
        raise CallersMistake(
            f"Asked for holidays of the country '{country}', which the calendar does not know. "
            "It is a code of two letters, like IN or TH; or give the occasion's own `dates`."
        ) from None
    wanted = (name or "").casefold()
    days = [day for day, said in calendar.items() if wanted in said.casefold()]
    if not days:
        there_are = sorted({part for said in calendar.values() for part in said.split("; ")})
        raise CallersMistake(
            f"Asked for the holiday '{name}' of {country}, which has none of that name between {min(years)} and "
            f"{max(years)}. It has: {', '.join(there_are)}. "
            "Or give the occasion's own `dates`."
        )
    return days
