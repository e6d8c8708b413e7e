"""What `brand.yaml` says of how often, when and for how much a customer may be spoken to."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from features.parts import Name, Part

Governs = Literal["brand", "customer", "everyone"]
"""Whose first word a rule is for: the brand's, the customer's (who asks and is answered), or both."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Period = Literal["day", "week", "month"]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class QuietHours(Part):
    """When nobody is written to, by the customer's own clock; over midnight where `until` comes before `start`."""

    start: ClockTime
    until: ClockTime
    days: tuple[Weekday, ...] = ()  # on which they start; every day where none is named
    channels: tuple[Name, ...] = ()  # every channel where none is named
    governs: Governs = "brand"
    then: Literal["suppress", "wait"] = "suppress"  # wait: it may be chosen, with the `send_at` at which they end


class Cap(Part):
    """So many at most within a window, of one customer: rolling (the last hours) or calendar (a day of theirs)."""

    at_most: Annotated[int, Field(ge=1)]
    rolling_hours: Annotated[float, Field(gt=0, le=8_784)] | None = None
    rolling_days: Annotated[float, Field(gt=0, le=366)] | None = None
    calendar: Period | None = None  # by the customer's time zone; a week begins on Monday
    counts: Literal["decision", "exposure", "click", "conversion"] = "exposure"  # exposures: with open reservations
    governs: Governs = "brand"

    @model_validator(mode="after")
    def _one_window(self) -> Cap:
        given = [self.rolling_hours, self.rolling_days, self.calendar]
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs one window: rolling_hours, rolling_days or calendar")
        return self

    @property
    def rolling(self) -> timedelta | None:
        """The length of a rolling window; None for a calendar one."""
        if self.calendar is not None:
            return None
        return timedelta(hours=self.rolling_hours or 0.0, days=self.rolling_days or 0.0)


class FrequencyCap(Cap):
    """A cap on everything that all its filters let through; without filters, on everything that is said."""

    channels: tuple[Name, ...] = ()
    tags: tuple[Name, ...] = ()
    actions: tuple[Name, ...] = ()
    each: Literal["action", "tag", "channel"] | None = None  # counted apart for each; together where it is left out


class Refusals(Part):
    """For how long a refusal is kept to; `never` is for ever. Whoever speaks first."""

    not_now_days: Annotated[float, Field(ge=0, le=3_650)] = 14.0
    covers: Literal["action", "tags", "everything"] = "action"  # tags: every action that shares a tag with it


class Budget(Part):
    """What may be given away or sent to everyone together; reserved when decided, returned when never exposed."""

    units: Annotated[int, Field(ge=0)] | None = None  # messages or offers
    amount: Annotated[float, Field(ge=0)] | None = None  # money: incentive cost and channel price
    every: Period | None = None  # by the brand's time zone; for all time where it is left out

    @model_validator(mode="after")
    def _limited(self) -> Budget:
        if self.units is None and self.amount is None:
            raise ValueError("needs a limit: units, amount or both")
        return self


class SharedBudget(Budget):
    """A budget of all actions that its filters let through: a global cap."""

    channels: tuple[Name, ...] = ()
    tags: tuple[Name, ...] = ()
    actions: tuple[Name, ...] = ()


class ContactPolicy(Part):
    """Every rule about how often, when and for how much."""

    quiet_hours: tuple[QuietHours, ...] = ()
    frequency_caps: dict[Name, FrequencyCap] = Field(default_factory=dict)
    refusals: Refusals = Refusals()
    budgets: dict[Name, SharedBudget] = Field(default_factory=dict)
    reservation_hours: Annotated[float, Field(gt=0, le=720)] = 24.0
    """What was deferred and not exposed by then is released: its counts, its budget, its coupon code."""
