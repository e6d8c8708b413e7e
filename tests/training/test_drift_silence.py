"""Orders that stopped coming are told before any training; a shop that closes now and then, or sells little, is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from features.lake import instant_us
from training.drift.cli import _show
from training.drift.report import Looked, Reason
from training.drift.silence import no_order_since, told_of

START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday
DAY_US = 86_400_000_000


def orders(*, a_day: float, days: int, seed: int = 0, closed: tuple[int, ...] = ()) -> NDArray[np.int64]:
    """At random instants, none on the weekdays that are closed (0 is the Thursday)."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(0, days, rng.poisson(a_day * days)))
    at = at[~np.isin(np.floor(at) % 7, closed)]
    return np.asarray(instant_us(START) + at * DAY_US, dtype=np.int64)


def since(at_us: NDArray[np.int64], days: float) -> datetime | None:
    return no_order_since(at_us, known_until=START + timedelta(days=days))


def test_orders_that_stopped_are_told_with_the_day_of_the_last() -> None:
    at_us = orders(a_day=8.0, days=200)
    found = since(at_us, 290)
    assert found is not None
    assert instant_us(found) == at_us[-1]
    assert since(at_us, 200) is None
    assert since(at_us, 201) is None  # eight might have come


@pytest.mark.parametrize("seed", range(20))
def test_a_shop_whose_orders_come_as_ever_is_left_in_peace(seed: int) -> None:
    for a_day in (0.05, 0.5, 5.0, 50.0):
        at_us = orders(a_day=a_day, days=300, seed=seed)
        for day in range(150, 301, 10):
            assert since(at_us[at_us < instant_us(START + timedelta(days=day))], day) is None


def test_a_shop_that_closes_on_weekends_is_left_in_peace_until_the_closing_is_too_long() -> None:
    at_us = orders(a_day=50.0, days=202, closed=(2, 3))  # ends on a Wednesday evening … Friday
    friday = at_us[at_us < instant_us(START + timedelta(days=198))]
    assert since(friday, 200) is None
    assert since(friday, 206) is not None


def test_one_that_sells_little_may_sell_nothing_for_long() -> None:
    at_us = orders(a_day=0.2, days=300)
    assert since(at_us, 330) is None
    assert since(at_us[:0], 330) is None


def test_it_comes_before_what_else_was_found_and_no_training_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    off = Reason("off", "within 30 days", 0.16, 0.0, "within 30 days: said 16.0%, 0.0% came")
    last = START + timedelta(days=100)
    next_purchase = Looked("next_purchase", "v", START, 190.0, n_then=900, n_now=900, status="retrain", reasons=(off,))
    fresh = Looked("segments", "v", START, 0.0, n_then=900, n_now=900, status="steady")
    for one in (next_purchase, fresh):
        told = told_of(one, last)
        assert told.status == "no_orders"
        assert told.reasons[0].told == "no order has come since 2026-04-11: see first whether orders still come in"
        assert told.reasons[1:] == one.reasons
        assert told_of(one, None) == one
        _show(told)
    assert told.told == told.reasons[0].told
    assert next_purchase.told == f"train anew, {off.told}"
    assert fresh.told == "steady"
    shown = capsys.readouterr().out
    assert "first: no order has come since 2026-04-11" in shown
    assert "found: within 30 days" in shown
    assert "train anew" not in shown


def test_a_model_that_cannot_be_used_or_was_not_looked_at_is_told_as_before() -> None:
    last = START + timedelta(days=100)
    misfit = Looked(
        "segments", "v", START, 9.0, status="retrain", reasons=(Reason("does_not_fit", "", None, None, ""),)
    )
    later = Looked("segments", "v", START, -1.0)
    outcomes_come = Looked("response", "v", START, 9.0, n_then=900, n_now=900, status="steady")
    assert [told_of(one, last) for one in (misfit, later, outcomes_come)] == [misfit, later, outcomes_come]
