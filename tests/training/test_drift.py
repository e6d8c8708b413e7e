"""What has moved is named, what has not is left in peace, and nothing is said of what few customers show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from numpy.typing import NDArray

from training.artifact import Matrix
from training.drift.moves import ALPHA, Move, judged, moves_of
from training.drift.reference import Quantity, Reference, Usual, reference_of
from training.drift.report import reasons_of, status_of
from training.drift.said import Said
from training.drift.spread import Spread, chance, ks, psi

if TYPE_CHECKING:
    from tests.training.conftest import TinyWorld

AT = datetime(2026, 3, 1, tzinfo=UTC)
INPUTS = ("recency", "orders", "money", "skin")
SKINS = ("dry", "oily", "other")


def customers(n: int, *, seed: int) -> NDArray[np.float32]:
    """Days since, a count, a heavy tail that is unknown of a third, and what was declared."""
    rng = np.random.default_rng(seed)
    money = np.where(rng.random(n) < 1 / 3, np.nan, rng.lognormal(3, 1, n))
    columns = [rng.exponential(60, n), rng.poisson(1.5, n), money, rng.choice(3, n, p=[0.6, 0.3, 0.1])]
    return np.column_stack(columns).astype(np.float32)


def keen(X: Matrix) -> Mapping[str, Said]:
    """Who ordered lately will again; money and orders play no part."""
    recency = np.nan_to_num(X[:, 0].astype(np.float64), nan=365.0)
    return {
        "within 30 days": Said(np.exp(-recency / 60.0)),
        "kind": Said((recency > 60).astype(np.float64), ("a", "b")),
    }


def reference(n: int = 2_000, *, seed: int = 0, earlier: int | None = None) -> Reference:
    before = [] if earlier is None else [(28.0, customers(n, seed=earlier))]
    return reference_of(
        customers(n, seed=seed), as_of=AT, inputs=INPUTS, categories={"skin": SKINS}, saying=keen, earlier=before
    )


def looked_at(then: Reference, X: NDArray[np.float32], *, days: float = 28.0) -> dict[str, Move]:
    return {one.name: one for one in moves_of(then, X, inputs=INPUTS, saying=keen, days=days)}


def test_the_same_customers_have_not_moved_at_all() -> None:
    found = looked_at(reference(), customers(2_000, seed=0))
    assert {one.verdict for one in found.values()} == {"steady"}
    assert max(abs(one.psi) for one in found.values()) == 0.0


def test_an_input_that_shifted_is_named_and_is_a_reason_where_the_model_leans_on_it() -> None:
    X = customers(2_000, seed=1)
    X[:, 0] += 60.0  # the model reads recency …
    X[:, 1] += 2.0  # … and not orders
    found = looked_at(reference(), X)
    moved = {name for name, one in found.items() if one.has_moved}
    assert moved == {"recency", "orders", "within 30 days", "kind"}
    assert (found["recency"].is_a_reason, found["orders"].is_a_reason) == (True, False)
    assert found["orders"].effect == 0.0
    reasons = reasons_of(list(found.values()), [])
    assert [one.code for one in reasons] == ["score_moved", "score_moved", "feature_moved"]
    assert reasons[-1].name == "recency"
    assert status_of(list(found.values()), [], reasons) == "retrain"


def test_an_input_that_nothing_leans_on_is_named_and_asks_for_no_training() -> None:
    X = customers(2_000, seed=1)
    X[:, 1] += 2.0
    found = looked_at(reference(), X)
    assert found["orders"].verdict == "moved"
    assert reasons_of(list(found.values()), []) == ()
    assert status_of(list(found.values()), [], ()) == "steady"


def test_scores_that_begin_to_move_are_watched() -> None:
    X = customers(4_000, seed=1)
    X[:, 0] *= 1.5
    moves = list(looked_at(reference(4_000), X).values())
    assert reasons_of(moves, []) == ()
    assert status_of(moves, [], ()) == "watch"


def test_an_input_that_is_unknown_now_is_said_to_be_gone() -> None:
    X = customers(2_000, seed=1)
    X[:1_000, 0] = np.nan
    gone = looked_at(reference(), X)["recency"]
    assert (gone.verdict, gone.unknown_then, gone.unknown_now) == ("gone", 0.0, 0.5)
    assert gone.is_a_reason


def test_one_that_is_gone_altogether_is_gone_and_not_too_few() -> None:
    X = customers(2_000, seed=1)
    X[:, 0] = np.nan
    assert looked_at(reference(), X)["recency"].verdict == "gone"


def test_what_is_known_of_more_customers_has_come() -> None:
    X = customers(2_000, seed=1)
    X[np.isnan(X[:, 2]), 2] = 20.0
    assert looked_at(reference(), X)["money"].verdict == "came"


def test_a_constant_that_changes_either_way_has_moved() -> None:
    then = Quantity(Spread.of(np.full(500, 7.0)))
    for other in (6.0, 8.0):
        now = then.spread.counted(np.full(500, other))
        assert judged("feature", "x", then, now, days=1.0, alpha=0.001).verdict == "moved"


def test_a_category_that_was_never_seen_has_moved() -> None:
    codes = np.random.default_rng(0).choice(3, 1_000).astype(np.float64)
    then = Quantity(Spread.of(codes, n_categories=3))
    codes[:300] = 3.0
    assert judged("feature", "skin", then, then.spread.counted(codes), days=1.0, alpha=0.001).verdict == "moved"


def test_of_few_customers_nothing_is_said_however_far_they_are() -> None:
    X = customers(90, seed=1)
    X[:, 0] += 500.0
    found = list(looked_at(reference(), X).values())
    assert {one.verdict for one in found} == {"too_few"}
    assert status_of(found, [], ()) == "too_little"


def test_what_moves_as_much_as_it_always_did_is_no_drift() -> None:
    """A shop that grows older: days since the first order rise by as much as passes, before the training and after."""
    rng = np.random.default_rng(3)
    then, before, now = (rng.normal(400.0, 90.0, 2_000) + days for days in (0.0, -50.0, 50.0))
    spread = Spread.of(then)
    moved = judged("feature", "tenure", Quantity(spread), spread.counted(now), days=50.0, alpha=0.001)
    assert moved.verdict == "moved"
    told = reference_of(
        then.astype(np.float32)[:, np.newaxis],
        as_of=AT,
        inputs=("tenure",),
        categories={},
        saying=lambda X: {},
        earlier=[(50.0, before.astype(np.float32)[:, np.newaxis])],
    )
    usual = judged("feature", "tenure", told.features["tenure"], spread.counted(now), days=50.0, alpha=0.001)
    assert usual.verdict == "steady"
    assert usual.psi == moved.psi
    assert usual.as_usual > 0.2
    # Twice as far in the same time is not what it always did.
    far = judged("feature", "tenure", told.features["tenure"], spread.counted(now + 50), days=50.0, alpha=0.001)
    assert far.verdict == "moved"


def test_what_is_usual_is_on_the_line_of_its_root_between_known_days_and_at_its_pace_beyond() -> None:
    spread = Spread.of(np.arange(100.0))
    one = Quantity(spread, usual=(Usual(10.0, 0.01, 0.0), Usual(30.0, 0.09, 0.02)))
    assert one.usual_over(5.0) == pytest.approx((0.01, 0.0))  # no less than over the shortest stretch that is known
    assert one.usual_over(20.0) == pytest.approx((0.04, 0.01))
    assert one.usual_over(60.0) == pytest.approx((0.36, 0.04))
    assert Quantity(spread).usual_over(60.0) == (0.0, 0.0)


@pytest.mark.parametrize("stretches", [(30.0,), (30.0, 90.0)])
@pytest.mark.parametrize("times", [2.0, 4.0])
def test_a_shop_that_only_ages_has_not_moved_long_after_the_longest_stretch_that_is_known(
    stretches: tuple[float, ...], times: float
) -> None:
    """A day a day, before the training and after: PSI grows with the square of the time."""
    width = 2.8 * stretches[-1]  # so that what moved over the stretch is not lost in chance

    def will_stay(X: Matrix) -> Mapping[str, Said]:
        return {"s": Said(1.0 / (1.0 + np.exp(-X[:, 0].astype(np.float64) / width)))}

    def shop(day: float, seed: int) -> NDArray[np.float32]:
        return np.random.default_rng([seed, round(day) % 7_000]).normal(day, width, (3_000, 1)).astype(np.float32)

    later = times * stretches[-1]
    for seed in range(8):
        earlier = [(days, shop(-days, seed)) for days in stretches]
        then = reference_of(
            shop(0, seed), as_of=AT, inputs=("tenure",), categories={}, saying=will_stay, earlier=earlier
        )
        aged, faster = (
            moves_of(then, shop(day, seed), inputs=("tenure",), saying=will_stay, days=later)
            for day in (later, 3 * later)
        )
        assert {one.verdict for one in aged} == {"steady"}, aged
        assert min(one.psi for one in aged) > 0.3  # what a fixed threshold calls moved
        assert {one.verdict for one in faster} == {"moved"}


def test_a_stable_world_raises_nothing_over_many_seeds() -> None:
    """200 looks at samples of one population: fewer alarms than would be surprising at one look in a hundred."""
    looks, alarms = 200, 0
    for seed in range(looks):
        n = (150, 400, 1_500)[seed % 3]
        found = looked_at(reference(n, seed=1_000 + seed), customers(n, seed=5_000 + seed))
        alarms += any(one.has_moved or one.verdict == "watch" for one in found.values())
    assert alarms <= 6  # P(more than 6 of 200 at 1%) is 0.004


def test_a_shop_that_only_grows_older_asks_for_no_training_over_many_seeds(
    tiny_world: Callable[..., TinyWorld],
) -> None:
    """Everybody orders at the same pace for ever: tenure, orders and money grow, and nothing has changed."""

    def will_order(X: Matrix) -> Mapping[str, Said]:
        recent, recency = X[:, 1].astype(np.float64), np.nan_to_num(X[:, 3].astype(np.float64), nan=400.0)
        return {"within 30 days": Said(1.0 - np.exp(-(recent + 0.5) / 3.0 - np.exp(-recency / 30.0)))}

    moved_by_itself = 0
    for seed in range(12):
        world = tiny_world(n_customers=300, days=400, seed=seed)
        snapshots = {day: world.snapshot(world.first + timedelta(days=day)).X for day in (190, 250, 280, 308, 340)}
        then = reference_of(
            snapshots[280],
            as_of=AT,
            inputs=world.inputs,
            categories=world.categories,
            saying=will_order,
            earlier=[(30.0, snapshots[250]), (90.0, snapshots[190])],
        )
        for day in (308, 340):
            looked = moves_of(then, snapshots[day], inputs=world.inputs, saying=will_order, days=day - 280.0)
            assert reasons_of(looked, []) == (), seed
            assert status_of(looked, [], ()) == "steady", seed
            moved_by_itself += sum(one.has_moved and one.kind == "feature" for one in looked)
    assert moved_by_itself <= 2  # of 216: their pace is known


@pytest.mark.parametrize("n", [100, 300, 3_000])
def test_chance_is_exceeded_about_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    above = 0
    for _ in range(400):
        then = Spread.of(rng.lognormal(size=n))
        now = then.counted(rng.lognormal(size=n))
        above += psi(then, now) > chance(then, now, alpha=0.05)
    assert 5 <= above <= 36  # 20 are expected; five standard deviations would be 22


def test_a_few_a_hair_below_the_lowest_have_not_moved() -> None:
    """Customers who stay away longer than anybody had at the training: their scores fall a little, nothing else."""
    said = np.linspace(0.01, 0.99, 1_000)
    then = Quantity(Spread.of(said))
    now = then.spread.counted(np.where(np.arange(1_000) < 60, 0.0099, said))  # of the lowest hundred
    assert judged("score", "within 7 days", then, now, days=90.0, alpha=ALPHA / 100).verdict == "steady"


def test_many_far_below_the_lowest_have_moved() -> None:
    said = np.linspace(0.01, 0.99, 1_000)
    then = Quantity(Spread.of(said))
    now = then.spread.counted(np.where(np.arange(1_000) % 3 == 0, 0.001, said))
    assert judged("score", "within 7 days", then, now, days=90.0, alpha=ALPHA / 100).verdict == "moved"


def test_more_customers_make_the_same_shift_a_sure_one() -> None:
    rng = np.random.default_rng(0)
    verdicts = []
    for n in (110, 4_000):
        then = Quantity(Spread.of(rng.normal(size=n)))
        now = then.spread.counted(rng.normal(0.6, 1.0, size=n))
        verdicts.append(judged("feature", "x", then, now, days=1.0, alpha=ALPHA / 100).verdict)
    assert verdicts == ["steady", "moved"]


def test_ks_is_the_gap_between_the_cumulative_shares() -> None:
    then = Spread.of(np.arange(1.0, 101.0))
    assert ks(then, then.counted(np.full(100, 50.0))) == pytest.approx(0.5)
    assert ks(then, then.counted(np.full(100, 500.0))) == pytest.approx(0.95)  # counted up to the last twentieth
    assert ks(Spread.of(np.zeros(9), n_categories=2), Spread.of(np.zeros(9), n_categories=2)) is None


def test_the_index_is_the_sum_of_its_formula() -> None:
    then = Spread.of(np.array([0.0] * 600 + [1.0] * 400), n_categories=2)
    now = then.counted(np.array([0.0] * 400 + [1.0] * 600))
    # Half a customer more in each of three groups: the two codes, and what was never seen.
    p, q = 600.5 / 1001.5, 400.5 / 1001.5
    assert psi(then, now) == pytest.approx((q - p) * np.log(q / p) + (p - q) * np.log(p / q))


def test_a_reference_read_again_is_the_same_and_so_are_its_bytes() -> None:
    one, again = reference(earlier=9), reference(earlier=9)
    assert one.as_bytes() == again.as_bytes()
    assert Reference.from_bytes(one.as_bytes()) == one
    assert len(one.as_bytes()) < 600 * (len(INPUTS) + 2)


@settings(max_examples=60, deadline=None)
@given(
    of_numpy.arrays(
        np.float32, st.integers(0, 60), elements=st.one_of(st.just(np.float32("nan")), st.floats(-1e6, 1e6, width=32))
    ),
    of_numpy.arrays(
        np.float32, st.integers(0, 60), elements=st.one_of(st.just(np.float32("nan")), st.floats(-2e6, 2e6, width=32))
    ),
)
def test_every_customer_is_counted_once_whatever_the_values(
    then: NDArray[np.float32], now: NDArray[np.float32]
) -> None:
    spread = Spread.of(then)
    read = Spread.from_dict(spread.as_dict())
    assert read == spread
    for one, values in ((spread, then), (read.counted(now), now)):
        assert one.n == len(values)
        assert one.n_unknown == int(np.isnan(values).sum())
    assert spread.counts[0] == 0  # nothing of the reference lies below its least value
    assert psi(spread, spread.counted(now)) >= 0.0
    assert replace(spread, counts=spread.counts) == spread.counted(then)
