from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from features.faults import CallersMistake
from training.evaluating.segments import _cutoff
from training.evaluating.segments_judging import (
    Model,
    as_others_moved,
    audiences,
    calibration_error,
    prior,
)
from training.order_days import OrderDays, day_of
from training.response.actions import ActionFeatures
from training.response.rows import ResponseRows
from training.segment_matter import Window, differences, response_by_segment
from training.segment_onward import shares
from training.segment_rfm import NEVER, learn_rfm, rfm_of
from training.segment_windows import followed, midnight_by, rows_since


def a_window(*, rates: tuple[float, float], seed: int, n: int = 2000) -> Window:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.array(["s1", "s2"], dtype=object), n // 2)
    ordered = (rng.random(n) < np.where(groups == "s1", *rates)).astype(np.float64)
    return Window({"segment": groups}, ordered, ordered * 10.0)


def test_segments_that_buy_differently_matter_and_save_what_their_means_explain() -> None:
    found = differences(a_window(rates=(0.8, 0.2), seed=1), a_window(rates=(0.8, 0.2), seed=2))
    ordered = found[0]
    assert ordered.matters
    assert ordered.skill == pytest.approx(0.3**2 / 0.25, abs=0.04)  # between groups ÷ all of a half-half coin
    assert [group.said for group in ordered.groups] == pytest.approx([0.8, 0.2], abs=0.04)


def test_what_was_found_is_json() -> None:
    window = a_window(rates=(0.8, 0.2), seed=1)
    response = response_by_segment(**messages(uplifts=(1.0, 0.0)))  # type: ignore[arg-type]
    assert json.loads(json.dumps([one.as_dict() for one in differences(window, window)]))[0]["matters"] is True
    assert json.loads(json.dumps(response.as_dict(), allow_nan=False))["matters"] is True


def test_segments_that_only_look_different_do_not_matter() -> None:
    found = differences(a_window(rates=(0.4, 0.4), seed=1), a_window(rates=(0.4, 0.4), seed=2))
    assert not any(one.matters for one in found)
    assert "do NOT differ" in found[0].in_words()


def test_a_difference_that_turned_round_since_is_no_knowledge() -> None:
    found = differences(a_window(rates=(0.8, 0.2), seed=1), a_window(rates=(0.2, 0.8), seed=2))
    assert found[0].skill < 0
    assert not found[0].matters


def test_nobody_orders_and_nothing_matters() -> None:
    silent = a_window(rates=(0.0, 0.0), seed=1)
    assert not any(one.matters for one in differences(silent, silent))


def messages(*, uplifts: tuple[float, float], seed: int = 3) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    n = 6000
    segments = np.array(["s1", "s2"], dtype=object)[np.arange(n) % 2]
    propensity_of_sending = np.where(rng.random(n) < 0.5, 0.3, 0.7)
    treated = rng.random(n) < propensity_of_sending
    base = np.where(propensity_of_sending > 0.5, 2.0, 1.0)  # whom we send more buys more anyway
    reward = base + treated * np.where(segments == "s1", *uplifts) + rng.normal(0, 1, n)
    return {
        "segments": segments,
        "treated": treated,
        "reward": reward,
        "propensity": np.where(treated, propensity_of_sending, 1 - propensity_of_sending),
        "cluster": np.arange(n, dtype=np.int64),
        "of": "a campaign",
    }


def test_segments_that_respond_differently_are_told_from_those_that_do_not() -> None:
    different = response_by_segment(**messages(uplifts=(1.0, 0.0)))  # type: ignore[arg-type]
    alike = response_by_segment(**messages(uplifts=(0.5, 0.5)))  # type: ignore[arg-type]
    assert different.matters
    assert not alike.matters
    assert [group.mean for group in different.groups] == pytest.approx([1.0, 0.0], abs=0.12)
    assert all(group.low < truth < group.high for group, truth in zip(different.groups, (1.0, 0.0), strict=True))


def test_a_segment_too_small_to_tell_is_left_out_and_one_alone_says_nothing() -> None:
    few = messages(uplifts=(1.0, 0.0))
    few["segments"] = np.array(["s1"] * 5990 + ["s2"] * 10, dtype=object)
    found = response_by_segment(**few)  # type: ignore[arg-type]
    assert found.p is None
    assert "too few" in found.in_words()


def test_a_customer_with_two_keys_has_the_whole_persons_orders_under_both() -> None:
    days = OrderDays.of(np.array([1, 1, 3]), np.array([10, 12, 11]), np.array([5.0, 7.0, 2.0]))
    n_days, spend = followed(days, {2: 1}, np.array([1, 2, 3, 4]), day=10, horizon_days=7)
    assert n_days.tolist() == [2, 2, 1, 0]
    assert spend.tolist() == [12, 12, 2, 0]


def test_a_window_begins_at_the_brands_midnight() -> None:
    at = midnight_by(datetime(2026, 9, 2, tzinfo=UTC), time_zone="Asia/Kolkata")
    assert at == datetime(2026, 9, 1, 18, 30, tzinfo=UTC)
    assert midnight_by(at, time_zone="Asia/Kolkata") == at
    assert day_of(at, time_zone="Asia/Kolkata") == (date(2026, 9, 2) - date(1970, 1, 1)).days


def test_what_was_decided_before_the_cutoff_judges_no_segments() -> None:
    at = np.array(["2026-09-01T18:29", "2026-09-01T18:30", "2026-09-03"], dtype="datetime64[us]")
    two = tuple(ActionFeatures(name, name, "", "none", 0.0, 0.0, "", ()) for name in ("nothing", "mail"))
    rows = ResponseRows(
        np.zeros((3, 1), dtype=np.float32),
        np.array([0, 1, 0]),
        np.array([1.0, 2.0, 3.0]),
        np.full(3, 0.5),
        np.arange(3),
        at,
        two,
    )
    since = datetime(2026, 9, 2, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert rows_since(rows, since).reward.tolist() == [2.0, 3.0]


INPUTS = ("n_orders", "revenue", "days_since_last_order", "trait_need", "trait_need_age_days")


def test_customers_are_told_by_how_they_are_known() -> None:
    nan = np.nan
    X = np.array([[2, 9, 3, 1, 5], [2, 9, 3, nan, nan], [0, 0, nan, 0, 5], [0, 0, nan, nan, nan]], dtype=np.float32)
    who = audiences(X, inputs=INPUTS)
    assert [np.flatnonzero(rows).tolist() for rows in who.values()] == [[0, 1, 2, 3], [0], [1], [2]]


def test_a_prior_is_of_those_who_were_known_in_the_same_way() -> None:
    y = np.repeat([0, 1], 40)
    past = {"everybody": np.ones(80, dtype=bool), "full": y == 0, "behaviour_only": y == 1, "declared_only": y == 2}
    of = {name: np.array([name in ("everybody", "full")]) for name in past}
    assert prior(past, y, of=of, k=2)[0] == pytest.approx([41 / 42, 1 / 42])
    assert shares(y, k=2) == pytest.approx([0.5, 0.5])


def test_others_moves_are_said_of_whoever_stands_where_they_stood() -> None:
    then, y = np.array([0] * 10 + [1] * 10), np.array([1] * 10 + [1] * 10)
    said = as_others_moved(np.array([0, 1]), then, y, k=2)
    assert said[0] == pytest.approx([1 / 12, 11 / 12])


def test_a_later_segment_that_nobody_knew_counts_as_wrong_for_all_and_against_no_probability() -> None:
    one = Model.saying("one", np.array([[0.9, 0.1], [0.9, 0.1]]))
    figures = one.judged(np.array([0, -1]), np.array([True, True]))
    assert figures["accuracy"] == 0.5
    assert figures["log_loss"] == pytest.approx(-np.log(0.9))


def test_probabilities_that_come_true_as_often_as_they_say_are_calibrated() -> None:
    probabilities = np.tile([0.75, 0.25], (400, 1))
    y = (np.arange(400) % 4 == 0).astype(np.intp)
    assert calibration_error(probabilities, y) == pytest.approx(0.0)
    assert calibration_error(probabilities, np.zeros(400, dtype=np.intp)) == pytest.approx(0.25)


def test_rfm_names_the_best_the_sleeping_and_those_who_never_came() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(1, 20, 200), rng.uniform(10, 900, 200), rng.uniform(1, 300, 200)])
    X = np.vstack([X, [[30, 2000, 1]], [[30, 2000, 290]], [[1, 5, 290]], [[1, 5, 1]], [[0, 0, np.nan]]])
    inputs = ("n_orders", "revenue", "days_since_last_order")
    fifths = learn_rfm(X.astype(np.float32), inputs=inputs)
    assert fifths is not None
    found = rfm_of(X.astype(np.float32), inputs=inputs, fifths=fifths)
    assert found[-5:].tolist() == ["champion", "cannot_lose", "lost", "new", NEVER]


def test_nobody_who_ordered_gives_no_fifths() -> None:
    assert (
        learn_rfm(np.zeros((5, 3), dtype=np.float32), inputs=("n_orders", "revenue", "days_since_last_order")) is None
    )
    assert learn_rfm(np.zeros((5, 1), dtype=np.float32), inputs=("n_orders",)) is None


def test_buyers_of_whom_no_revenue_is_known_give_no_fifths_and_no_nan() -> None:
    X = np.array([[2, np.nan, 3.0], [1, np.nan, 30.0]], dtype=np.float32)
    assert learn_rfm(X, inputs=("n_orders", "revenue", "days_since_last_order")) is None


def test_a_shop_of_a_day_is_told_what_is_known_and_not_of_a_cutoff_that_nobody_asked_for() -> None:
    zone, first = "UTC", datetime(2024, 1, 1, tzinfo=UTC)
    shop: Any = SimpleNamespace(
        brand=SimpleNamespace(time_zone=zone), first=first, known_until=first + timedelta(days=1)
    )
    with pytest.raises(CallersMistake, match="what is known is from 2024-01-01 to 2024-01-02"):
        _cutoff(shop, None, onward_days=90)
