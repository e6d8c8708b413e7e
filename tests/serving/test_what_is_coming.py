"""What a profile says of the next order: dates in the brand's time zone, and a horizon of the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serving.coming import asked_days, coming_values, what_is_coming
from serving.refusals import RequestRefused
from training.repeat_buying import BgNbd, History
from training.served.coming import Coming
from training.served.expected import Expected
from training.served.repeat_buying import Rhythm

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Steady:
    """A model whose every customer has ordered nine times, weekly, the last time today."""

    def coming(self, X: np.ndarray, *, said: np.ndarray) -> Coming:
        history = History(np.full(len(X), 8.0), np.full(len(X), 8.0), np.full(len(X), 8.0))
        fit = BgNbd(1.0, 1.0, 0.01, 10.0)
        return Coming(Rhythm((fit,), history), {7: said[:, 0], 30: said[:, 1]}, (), expecting)


def expecting(rhythm: Rhythm, year: Sequence[float]) -> Expected:
    """Two order-days a week, of 25 each."""
    n = np.ones(len(rhythm.history.x))
    return Expected(7, 2.0 * n, 50.0 * n, 25.0, lambda days: days * n, year, year)


def scored(*propensities: tuple[int, float]) -> Any:
    return SimpleNamespace(inputs=np.zeros(3), scores=SimpleNamespace(propensities=propensities))


def told(**more: Any) -> dict[str, Any] | None:
    asked: dict[str, Any] = {"at": AT, "time_zone": "UTC", "within_days": None} | more
    return what_is_coming(Steady(), scored((7, 0.5), (30, 0.9)), **asked)  # type: ignore[arg-type]


def test_the_day_of_the_next_order_is_a_date_with_an_interval_around_it() -> None:
    said = told()
    assert said is not None
    order = said["next_order"]
    assert order["expected_on"] == "2026-03-08"  # half have ordered within seven days
    assert order["from"] < order["expected_on"] < order["until"]
    assert order["until"] == "2026-03-31"  # nine in ten within thirty
    assert 0.9 <= said["still_buying"] <= 1
    assert "purchase_propensity" not in said


def test_a_horizon_of_the_callers_own_lies_between_those_of_the_model() -> None:
    said = told(within_days=14)
    assert said is not None
    assert 0.5 < said["purchase_propensity"]["14d"] < 0.9


def test_dates_are_those_of_the_brand() -> None:
    late = datetime(2026, 3, 1, 23, tzinfo=UTC)  # the second of March in Bangkok already
    here, there = (told(at=late, time_zone=zone) for zone in ("UTC", "Asia/Bangkok"))
    assert here is not None
    assert there is not None
    assert (here["next_order"]["from"], there["next_order"]["from"]) == ("2026-03-02", "2026-03-03")


def test_nobody_says_anything_of_a_customer_without_propensities() -> None:
    assert what_is_coming(Steady(), scored(), at=AT, time_zone="UTC", within_days=None) is None  # type: ignore[arg-type]
    assert what_is_coming(None, scored((7, 0.5)), at=AT, time_zone="UTC", within_days=None) is None


def test_orders_and_spend_are_expected_within_the_models_horizons_and_the_callers_own() -> None:
    said = told(within_days=14)
    assert said is not None
    assert list(said["expected"]) == ["7d", "14d", "30d"]
    orders = [said["expected"][days]["orders"] for days in said["expected"]]
    assert orders == sorted(orders)
    assert said["expected"]["14d"]["orders"] == pytest.approx(2 * 14 / 7)
    assert said["expected"]["14d"]["spend"] == pytest.approx(2 * 14 / 7 * 25.0)


def test_names_of_expressions_are_answered_by_the_same_curve() -> None:
    said = told(within_days=14)
    assert said is not None
    names = ["still_buying", "purchase_propensity_14d", "expected_orders_14d", "expected_spend_14d"]
    asked = scored((7, 0.5), (30, 0.9))
    asked.coming = lambda: Steady().coming(np.zeros((1, 3)), said=np.array([[0.5, 0.9]]))
    assert coming_values(names, asked) == {
        "still_buying": said["still_buying"],
        "purchase_propensity_14d": said["purchase_propensity"]["14d"],
        "expected_orders_14d": said["expected"]["14d"]["orders"],
        "expected_spend_14d": said["expected"]["14d"]["spend"],
    }
    asked.coming = None
    assert coming_values(names, asked) == dict.fromkeys(names)


@pytest.mark.parametrize("text", ["0", "366", "-1", "7.5", "week", "", "9" * 5_000])
def test_a_horizon_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RequestRefused, match="whole number of days from 1 to 365"):
        asked_days({"within_days": text})


def test_a_horizon_may_be_left_out() -> None:
    assert asked_days({}) is None
    assert asked_days({"within_days": "365"}) == 365
