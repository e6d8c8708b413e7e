"""What is to come of one customer, as JSON types: the next order's day, whether they still buy, how many orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from serving.refusals import SHOWN, RequestRefused, WrongField
from serving.scoring import ScoredCustomer
from training.artifact import INTERVAL, LONGEST_DAYS, Coming, NextPurchaseModel

Floats = NDArray[np.float64]

WITHIN_DAYS = "within_days"
STILL_BUYING = "still_buying"
OF_DAYS = {
    "name": WITHIN_DAYS,
    "in": "query",
    "required": False,
    "description": "One more horizon in days to be told the probability of an order within.",
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_DAYS},
}
MOMENT = timedelta(microseconds=1)


def asked_days(query: Mapping[str, str]) -> int | None:
    """The horizon that a query asks for; None where it asks for none.

    Raises:
        RequestRefused: it is no whole number from 1 to 365.
    """
    text = query.get(WITHIN_DAYS)
    is_one = text is None or (text.isascii() and text.isdigit() and 1 <= int(text[:SHOWN]) <= LONGEST_DAYS)
    if text is not None and not is_one:
        rule = f"is '{text[:SHOWN]}'; it is a whole number of days from 1 to {LONGEST_DAYS}."
        raise RequestRefused([WrongField(f"/{WITHIN_DAYS}", rule)])
    return None if text is None else int(text)


def what_is_coming(
    model: NextPurchaseModel | None, scored: ScoredCustomer, *, at: datetime, time_zone: str, within_days: int | None
) -> dict[str, Any] | None:
    """The answers that the curve of next purchase gives; None where nobody can say.

    Args:
        model: that scored the customer.
        scored: the customer.
        at: when they were.
        time_zone: whose dates are told.
        within_days: one more horizon to be told of, 1 to 365; None for none.
    """
    if model is None or not scored.scores.propensities:
        return None
    said = np.array([[probability for _, probability in scored.scores.propensities]])
    coming = model.coming(scored.inputs[None, :], said=said)
    if coming is None:
        return None
    order = coming.next_order()

    def date_of(days: float, less: timedelta) -> str | None:
        if math.isinf(days):
            return None  # not within a year
        return (at + timedelta(days=days) - less).astimezone(ZoneInfo(time_zone)).date().isoformat()

    told: dict[str, Any] = {
        "next_order": {
            "expected_on": date_of(float(order.middle[0]), timedelta(hours=12)),
            "from": date_of(float(order.low[0]), timedelta(days=1)),
            "until": date_of(float(order.high[0]), MOMENT),
            "interval": INTERVAL,
        },
        "still_buying": _value(coming.still_buying()),
        "expected": {f"{days}d": _expected(coming, days) for days in _horizons(scored, within_days)} or None,
    }
    if within_days is not None:
        told["purchase_propensity"] = {f"{within_days}d": float(coming.p_any(within_days)[0])}
    return told


def coming_values(names: Sequence[str], scored: ScoredCustomer) -> dict[str, float | None]:
    """What next purchase says under names of any horizon, and whether the customer still buys; None where unknown."""
    coming = None if scored.coming is None else scored.coming()
    return {name: None if coming is None else _value(coming.named(name)) for name in names}


def _value(values: Floats | None) -> float | None:
    """The first customer's, who is the only one."""
    return None if values is None or math.isnan(values[0]) else float(values[0])


def _horizons(scored: ScoredCustomer, within_days: int | None) -> list[int]:
    """Those of the model, and the one that is asked for."""
    return sorted({days for days, _ in scored.scores.propensities} | ({within_days} if within_days else set()))


def _expected(coming: Coming, days: int) -> dict[str, float | None]:
    """Order-days and spend within so many days; None where nobody can say."""
    return {"orders": _value(coming.orders(days)), "spend": _value(coming.spend(days))}
