"""A score taken apart: base and parts are the score, whoever its members are."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration import IDENTITY
from training.contributions import contributions_of
from training.fast_booster import Boosters
from training.linear import Linear
from training.members import LINEAR, REPEAT_BUYING, TREES, Customers, Members
from training.repeat_buying import BgNbd

INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order", "revenue")
COLUMNS = (("log", "revenue"), ("missing", "days_since_last_order"), ("pace", *INPUTS[1:3], INPUTS[0]))
REGRESSION = Linear(COLUMNS, (3.0, 0.2, 1.0), (1.0, 0.5, 2.0), (0.7, -0.4, 0.3), -2.0)
RHYTHM = BgNbd(r=0.8, alpha=5.0, a=0.9, b=2.5)
OFFSETS = {TREES: 0.1, LINEAR: -0.2, REPEAT_BUYING: 0.3}


@pytest.fixture(scope="module")
def boosters() -> Boosters:
    return grown(leaves=31, rounds=5)


def grown(*, leaves: int, rounds: int) -> Boosters:
    rng = np.random.default_rng(1)
    X = np.exp(rng.normal(2, 1, (400, len(INPUTS))))
    X[::7, 1:3] = np.nan
    data = lightgbm.Dataset(X, (X[:, 0] > 8).astype(np.uint8))
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": leaves}
    return Boosters([lightgbm.train(parameters, data, num_boost_round=rounds).model_to_string()])


customers = st.tuples(
    st.integers(0, 30), st.one_of(st.just(float("nan")), st.floats(0, 400)), st.floats(0, 400), st.floats(0, 5_000)
).map(lambda row: (float(row[0]), row[1], max(row[1], row[2]) if row[1] == row[1] else float("nan"), row[3]))


@settings(max_examples=60, deadline=None)
@given(row=customers, present=st.sets(st.sampled_from(sorted(OFFSETS)), min_size=1))
def test_base_and_parts_sum_to_the_score(
    boosters: Boosters, row: tuple[float, float, float, float], present: set[str]
) -> None:
    if row[0] == 0:
        row = (0.0, float("nan"), float("nan"), row[3])
    X = np.array([row])
    members = Members(
        30,
        {name: offset for name, offset in OFFSETS.items() if name in present},
        silent=-1.5,
        linear=REGRESSION if LINEAR in present else None,
        repeat_buying=RHYTHM if REPEAT_BUYING in present else None,
    )
    raw, parts = None, None
    if TREES in present:
        raw, parts = boosters.raw_scores(X)[:, 0], boosters.contributions(X)[0]
    told = contributions_of(members, Customers(X, INPUTS), parts)
    assert told.score == pytest.approx(float(members.scores(Customers(X, INPUTS), raw)[0]), abs=1e-9)


def test_a_tree_that_splits_on_one_input_speaks_of_that_one_only() -> None:
    stump = grown(leaves=2, rounds=1)
    many, few = (stump.contributions(np.array([[n, 10.0, 100.0, 50.0]]))[0] for n in (30.0, 1.0))
    assert many[0] > 0 > few[0]
    assert many[1:4] == pytest.approx([0.0, 0.0, 0.0])


def test_a_regression_speaks_by_the_names_of_its_inputs() -> None:
    told = contributions_of(
        Members(30, {LINEAR: 0.0}, linear=REGRESSION), Customers(np.array([[5.0, 10.0, 100.0, 50.0]]), INPUTS), None
    )
    assert set(told.parts) == {"revenue", "days_since_last_order", "pace"}
    assert told.parts["revenue"] == pytest.approx((np.log(51.0) - 3.0) * 0.7)
    assert told.base == -2.0


def test_of_whom_no_member_can_say_anything_there_is_the_base_alone() -> None:
    never = Customers(np.array([[0.0, np.nan, np.nan, 0.0]]), INPUTS)
    told = contributions_of(Members(30, {REPEAT_BUYING: 0.0}, silent=-1.5, repeat_buying=RHYTHM), never, None)
    assert (told.base, dict(told.parts)) == (-1.5, {})
    assert IDENTITY.calibrated(np.array([told.score]))[0] == -1.5


def test_a_row_alone_gets_bit_by_bit_what_it_gets_among_others(boosters: Boosters) -> None:
    rng = np.random.default_rng(4)
    X = np.exp(rng.normal(3, 1, (500, len(INPUTS))))
    X[:, 0] = np.ceil(X[:, 0])
    X[:, 2] += X[:, 1]
    members = Members(30, OFFSETS, silent=-1.5, linear=REGRESSION, repeat_buying=RHYTHM)
    together = members.scores(Customers(X, INPUTS), boosters.raw_scores(X)[:, 0])
    alone = [members.scores(Customers(row, INPUTS), boosters.raw_scores(row)[:, 0])[0] for row in np.split(X, 500)]
    assert together.tolist() == alone
