from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.split import Split, TooLittleData, gate_cutoff, split_for

FIRST = datetime(2023, 1, 1, tzinfo=UTC)

horizons = st.integers(1, 120)
histories = st.integers(0, 900)


@given(horizon=horizons, history=histories, n_cutoffs=st.integers(1, 8), anchor=st.integers(0, 40))
def test_nothing_that_teaches_looks_past_what_it_is_judged_on(
    horizon: int, history: int, n_cutoffs: int, anchor: int
) -> None:
    used_at = FIRST + timedelta(days=history)
    try:
        split = split_for(
            used_at,
            horizon_days=horizon,
            first=FIRST,
            n_cutoffs=n_cutoffs,
            anchor=used_at + timedelta(days=anchor),
        )
    except TooLittleData:
        return
    reach = timedelta(days=horizon)
    assert all(as_of + reach <= split.used_at for as_of in split.train)
    assert split.calibrate == max(split.train)
    assert all((a - b).days >= 14 for a, b in itertools.pairwise(split.train))
    assert 1 <= len(split.train) <= n_cutoffs
    assert all(as_of >= FIRST + reach for as_of in split.train)


@given(horizon=horizons, history=st.integers(1, 400))
def test_a_refusal_names_the_day_on_which_there_is_enough(horizon: int, history: int) -> None:
    used_at = FIRST + timedelta(days=history)
    try:
        split_for(used_at, horizon_days=horizon, first=FIRST, n_cutoffs=4)
    except TooLittleData as refusal:
        day = datetime.strptime(str(refusal).rstrip(".").split()[-1], "%Y-%m-%d").replace(tzinfo=UTC)
        split_for(day, horizon_days=horizon, first=FIRST, n_cutoffs=4)
        with pytest.raises(TooLittleData):
            split_for(day - timedelta(days=1), horizon_days=horizon, first=FIRST, n_cutoffs=4)


def test_a_split_that_looks_ahead_cannot_be_made() -> None:
    day = timedelta(days=1)
    with pytest.raises(ValueError, match="where it is used"):
        Split(horizon_days=7, train=(FIRST,), used_at=FIRST + 6 * day)
    with pytest.raises(ValueError, match="newest first"):
        Split(horizon_days=7, train=(FIRST, FIRST + day), used_at=FIRST + 20 * day)


def test_the_newest_closed_window_teaches_and_calibrates() -> None:
    used_at = FIRST + timedelta(days=200)
    split = split_for(used_at, horizon_days=30, first=FIRST, n_cutoffs=2, anchor=used_at - timedelta(days=21))
    assert split.calibrate == used_at - timedelta(days=35)
    assert split.train == (split.calibrate, used_at - timedelta(days=49))


def test_the_gate_stands_where_the_newest_window_is_just_closed() -> None:
    assert gate_cutoff(FIRST + timedelta(days=70), horizon_days=7) == FIRST + timedelta(days=63)
    assert gate_cutoff(FIRST + timedelta(days=70), horizon_days=30) == FIRST + timedelta(days=35)  # whole weeks


def test_training_cutoffs_stay_on_one_grid_so_that_snapshots_are_shared() -> None:
    end = FIRST + timedelta(days=500)
    anchor = end - timedelta(days=21)
    cutoffs = {
        cutoff
        for horizon in (7, 30, 90)
        for cutoff in split_for(end, horizon_days=horizon, first=FIRST, n_cutoffs=4, anchor=anchor).train[1:]
    }
    assert {(anchor - cutoff).days % 28 for cutoff in cutoffs} == {0}
