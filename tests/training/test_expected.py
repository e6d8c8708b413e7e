"""Expected order-days and spend of a version: within any horizon, never fewer than P(an order), and judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.test_coming import never_ordered, written
from training.artifact import NextPurchaseModel
from training.cards.beyond import beyond
from training.expectations.choosing import OWN, Recipe
from training.expectations.shop import BG_NBD, EPOCH, PARETO_NBD
from training.expected import WITHOUT, _shipped, lines_of, with_expected
from training.fitting import fold_of
from training.next_purchase import JudgedAmounts, Trained
from training.order_days import OrderDays
from training.rounds.expected_gate import expected_checks
from training.score_columns import columns_of_coming

HORIZONS = (7, 30)
AN_ORDER = 10.0


def order_days(world: Any) -> OrderDays:
    """Every order of the tiny world, at ten each."""
    keys = np.repeat(np.arange(1, len(world.orders) + 1), [len(orders) for orders in world.orders])
    days = np.floor(np.concatenate(world.orders)).astype(np.int64) + (world.first - EPOCH).days
    return OrderDays.of(keys, days, np.full(len(days), AN_ORDER))


@pytest.fixture(scope="module")
def world(a_tiny_world: Any) -> Any:
    return a_tiny_world


@pytest.fixture(scope="module")
def bare(with_its_curve: Trained) -> Trained:
    return with_its_curve


@pytest.fixture(scope="module")
def trained(bare: Trained, world: Any) -> Trained:
    return with_expected(bare, world, order_days(world))


@pytest.fixture(scope="module")
def model(trained: Trained, world: Any, tmp_path_factory: pytest.TempPathFactory) -> NextPurchaseModel:
    return written(trained, world, tmp_path_factory.mktemp("artifacts"))


def coming_of(model: NextPurchaseModel, X: np.ndarray) -> Any:
    coming = model.coming(X)
    assert coming is not None
    return coming


@settings(max_examples=15, deadline=None)
@given(days=st.lists(st.integers(1, 365), min_size=2, max_size=5))
def test_a_longer_horizon_holds_as_many_orders_and_never_fewer_than_their_probability(
    model: NextPurchaseModel, world: Any, days: list[int]
) -> None:
    X = np.vstack([world.snapshot(world.known_until).X, never_ordered(world)])
    coming = coming_of(model, X)
    orders = np.stack([coming.orders(day) for day in sorted(days)])
    spend = np.stack([coming.spend(day) for day in sorted(days)])
    said = np.stack([coming.p_any(day) for day in sorted(days)])
    assert (np.diff(orders, axis=0) >= -1e-9).all()
    assert (np.diff(spend, axis=0) >= -1e-9).all()
    assert (orders >= said - 1e-12).all()


@settings(max_examples=15, deadline=None)
@given(
    weights=st.lists(st.floats(0.0, 5.0), min_size=4, max_size=4).filter(lambda of: sum(of) > 0.1),
    days=st.lists(st.integers(1, 60), min_size=2, max_size=5),
)
def test_whatever_the_weeks_of_a_year_ago_were_a_longer_horizon_holds_as_many(
    trained: Trained, world: Any, tmp_path_factory: pytest.TempPathFactory, weights: list[float], days: list[int]
) -> None:
    shares = np.cumsum(weights) / sum(weights)
    ends = (7, 14, 21, 30)
    model = written(in_season(trained, zip(ends, shares, strict=True)), world, tmp_path_factory.mktemp("artifacts"))
    coming = coming_of(model, world.snapshot(world.known_until).X)
    orders = np.stack([coming.orders(day) for day in sorted(days)])
    assert (np.diff(orders, axis=0) >= -1e-9).all()


def in_season(trained: Trained, within: Any) -> Trained:
    """The same version at the level of the season, with these shares of its horizon's orders."""
    expected = trained.description["expected"]
    orders = expected["orders"] | {"is_seasonal": True}
    told = expected | {"orders": orders, "within": [[end, float(share)] for end, share in within]}
    return replace(trained, description=trained.description | {"expected": told})


def test_shorter_horizons_hold_what_the_weeks_of_a_year_ago_held(trained: Trained, world: Any, tmp_path: Path) -> None:
    late = in_season(trained, [(7, 0.05), (14, 0.1), (21, 0.3), (30, 1.0)])
    coming = coming_of(written(late, world, tmp_path / "late"), world.snapshot(world.known_until).X)
    steady = coming_of(written(in_season(trained, [(30, 1.0)]), world, tmp_path), world.snapshot(world.known_until).X)
    bought = coming.rhythm.bought  # of the others nothing is read off this

    def within(of: Any, days: float) -> float:
        return float(of.expected.orders_within(days)[bought].sum())

    whole = within(coming, 30)
    assert whole == pytest.approx(within(steady, 30))
    assert within(coming, 14) == pytest.approx(0.1 * whole, rel=0.1)
    assert within(steady, 14) == pytest.approx(14 / 30 * whole, rel=0.1)
    spend = (of.expected.spend_within(14)[bought].sum() for of in (coming, steady))
    assert next(spend) == next(spend)  # is not at the season's level


def test_steady_customers_are_expected_at_their_own_rate(model: NextPurchaseModel, world: Any) -> None:
    coming = coming_of(model, world.snapshot(world.known_until).X)
    for days in (15, 30, 90):
        of_a_day = coming.orders(days) / days
        assert of_a_day[world.keen].mean() == pytest.approx(1 - np.exp(-1 / 8), rel=0.15)  # two of one day are one
        assert of_a_day[~world.keen].mean() == pytest.approx(1 / 90, rel=0.4)
    assert coming.spend(30)[world.keen].mean() == pytest.approx(30 / 8 * AN_ORDER, rel=0.15)


def test_of_whoever_never_ordered_first_orders_come_at_a_steady_rate(model: NextPurchaseModel, world: Any) -> None:
    coming = coming_of(model, never_ordered(world))
    orders = coming.orders(30)
    assert orders == pytest.approx(-np.log1p(-coming.p_any(30)))
    a_day = order_days(world).amounts.mean()  # several orders of one day are one
    assert coming.spend(30) == pytest.approx(orders * a_day, rel=0.02)


def test_a_row_alone_gets_what_it_gets_among_others(model: NextPurchaseModel, world: Any) -> None:
    X = world.snapshot(world.known_until).X
    together, alone = coming_of(model, X), coming_of(model, X[3:4])
    assert alone.orders(45)[0] == together.orders(45)[3]
    assert alone.spend(45)[0] == together.spend(45)[3]


def test_nobody_in_a_batch_has_bought(model: NextPurchaseModel, world: Any) -> None:
    coming = coming_of(model, np.vstack([never_ordered(world)] * 2))
    assert np.isfinite(coming.orders(30)).all()


def test_the_judging_window_shows_ours_beside_repeat_buying(trained: Trained, world: Any) -> None:
    judged = trained.description["expected"]["judged"]
    as_of = world.known_until - timedelta(days=35)
    keys = np.arange(1, len(world.orders) + 1)
    judging = keys[fold_of(keys, n_folds=2) == 1]  # the others decide whether repeat buying alone is shipped
    happened = order_days(world).within(judging, day=(as_of - EPOCH).days, horizon_days=30)[0]
    assert 0.3 * len(keys) < judged["orders"]["n"] <= len(judging) < 0.7 * len(keys)
    assert judged["orders"]["as_of"] == as_of.isoformat()
    assert set(judged["orders"]["models"]) == {"ours", BG_NBD, PARETO_NBD}
    ours = judged["orders"]["models"]["ours"]
    assert ours["sum_actual"] == happened.sum()
    assert ours["sum_predicted"] == pytest.approx(happened.sum(), rel=0.1)
    assert judged["spend"]["models"]["ours"]["sum_actual"] >= happened.sum() * AN_ORDER
    words = " ".join(lines_of(trained.description["expected"]))
    assert f"{judged['orders']['shipped']}" in words
    assert "MAE / RMSE" in words


def test_what_is_judged_does_not_know_the_window(bare: Trained, trained: Trained, world: Any) -> None:
    orders = order_days(world)
    judged_at = (world.known_until - timedelta(days=35) - EPOCH).days
    doubled = OrderDays(orders.customer_keys, orders.days, orders.amounts * (1 + (orders.days >= judged_at)))
    dearer = with_expected(bare, world, doubled).description["expected"]["judged"]["spend"]["models"]["ours"]
    as_it_was = trained.description["expected"]["judged"]["spend"]["models"]["ours"]
    assert dearer["sum_predicted"] == as_it_was["sum_predicted"]
    assert dearer["sum_actual"] == 2 * as_it_was["sum_actual"]


def test_repeat_buying_alone_is_shipped_where_it_was_nearer() -> None:
    happened = np.array([0.0, 1.0, 2.0, 3.0])
    recipe = Recipe(("boosting",), "taught", 28)
    told = {"ours": happened[::-1].copy(), BG_NBD: happened + 0.1, PARETO_NBD: happened + 0.5}
    shipped, why = _shipped(recipe, told, happened)
    assert (shipped.members, shipped.level) == ((BG_NBD,), OWN)
    assert why.startswith("BG/NBD alone was nearer by ")
    assert _shipped(recipe, told | {"ours": happened + 0.1001}, happened)[0] == recipe


def test_the_same_seed_and_data_give_the_same_version(bare: Trained, trained: Trained, world: Any) -> None:
    again = with_expected(bare, world, order_days(world))
    assert again.description == trained.description
    assert again.boosters == trained.boosters


def test_a_window_that_nothing_could_teach_leaves_the_version_as_it_was(bare: Trained, world: Any) -> None:
    orders = order_days(world)
    late = OrderDays.of(
        orders.customer_keys, np.maximum(orders.days, (world.known_until - EPOCH).days - 40), orders.amounts
    )
    version = with_expected(bare, world, late)
    assert version.description == bare.description
    assert lines_of(version.description.get("expected")) == [WITHOUT]


def test_a_version_without_them_says_nothing_of_orders(bare: Trained, world: Any, tmp_path: Path) -> None:
    coming = coming_of(written(bare, world, tmp_path), world.snapshot(world.known_until).X)
    assert coming.orders(30) is None
    assert coming.spend(30) is None
    columns = columns_of_coming(coming, world.snapshot(world.known_until), horizons_days=HORIZONS)
    assert columns["expected_orders_30d"].null_count == len(world.orders)


def test_scores_have_a_column_a_horizon(model: NextPurchaseModel, world: Any) -> None:
    coming = coming_of(model, world.snapshot(world.known_until).X)
    columns = columns_of_coming(coming, world.snapshot(world.known_until), horizons_days=HORIZONS)
    assert columns["expected_orders_7d"].to_pylist() == coming.orders(7).tolist()
    assert columns["expected_spend_30d"].to_pylist() == coming.spend(30).tolist()


def test_the_card_tells_the_figures(trained: Trained) -> None:
    (section,) = [one for one in beyond(trained.description) if one.heading.startswith("Expected order-days and spend")]
    assert [row[0] for row in section.tables[0].rows] == ["orders: ours", f"orders: {BG_NBD}", f"orders: {PARETO_NBD}"]


def test_without_money_orders_are_expected_and_no_spend(bare: Trained, world: Any, tmp_path: Path) -> None:
    orders = order_days(world)
    free = with_expected(bare, world, replace(orders, amounts=np.zeros(len(orders.days))))
    coming = coming_of(written(free, world, tmp_path), world.snapshot(world.known_until).X)
    assert coming.spend(30) is None
    assert np.isfinite(coming.orders(30)).all()


@pytest.fixture(scope="module")
def champion(trained: Trained, world: Any, tmp_path_factory: pytest.TempPathFactory) -> NextPurchaseModel:
    """The same version, as if made before the window that judges."""
    return written(made(trained, world, days_ago=60), world, tmp_path_factory.mktemp("artifacts"))


def made(trained: Trained, world: Any, *, days_ago: int) -> Trained:
    as_of = (world.known_until - timedelta(days=days_ago)).isoformat()
    return replace(trained, description=trained.description | {"as_of": as_of})


def saying(trained: Trained, times: float) -> Trained:
    """The same, had it said so many times as much on the window that judges."""
    amounts = {of: replace(judged, said=judged.said * times) for of, judged in trained.amounts.items()}
    return replace(trained, amounts=amounts)


def test_expectations_as_good_as_the_champions_pass_the_gate_and_worse_ones_do_not(
    trained: Trained, world: Any, champion: NextPurchaseModel
) -> None:
    checks = expected_checks(trained, world, champion)
    assert [check.question.partition(" within")[0] for check in checks] == ["expected orders", "expected spend"]
    assert all(check.passed for check in checks)
    worse = expected_checks(saying(trained, 1.5), world, champion)
    assert [check.passed for check in worse] == [False, False]
    assert "absolute error: worse by" in worse[0].answer


def test_a_version_that_says_no_orders_does_not_replace_one_that_does(
    bare: Trained, trained: Trained, world: Any, champion: NextPurchaseModel
) -> None:
    (check,) = expected_checks(bare, world, champion)
    assert not check.passed
    assert check.answer.startswith("it says none")
    assert expected_checks(trained, world, None) == ()


def test_a_version_that_says_orders_alone_does_not_replace_one_that_says_spend(
    trained: Trained, world: Any, champion: NextPurchaseModel
) -> None:
    of_orders, of_spend = expected_checks(
        replace(trained, amounts={"orders": trained.amounts["orders"]}), world, champion
    )
    assert of_orders.passed
    assert not of_spend.passed
    assert of_spend.question == "expected spend, as the champion says it"


def test_a_champion_that_knew_the_window_is_not_asked(trained: Trained, world: Any, tmp_path: Path) -> None:
    champion = written(made(trained, world, days_ago=3), world, tmp_path)
    assert expected_checks(saying(trained, 1.5), world, champion) == ()


def test_one_customer_whom_no_snapshot_knew_then_does_not_silence_the_gate(
    trained: Trained, world: Any, champion: NextPurchaseModel
) -> None:
    """A person's surviving key may have come to be known after the window began, the orders under another before."""

    def with_a_later_key(judged: JudgedAmounts) -> JudgedAmounts:
        later = int(judged.customer_keys.max()) + 1
        keys = np.append(judged.customer_keys, later)
        return replace(
            judged, customer_keys=keys, said=np.append(judged.said, 1e6), happened=np.append(judged.happened, 0.0)
        )

    amounts = {of: with_a_later_key(judged) for of, judged in trained.amounts.items()}
    checks = expected_checks(replace(trained, amounts=amounts), world, champion)
    assert checks == expected_checks(trained, world, champion)  # of those whom both could be asked about
    assert len(checks) == 2
