"""A shop of very many customers: whoever calibrates a fit taught it nothing, and some of them choose for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.dataset import Snapshot, Source
from training.fitting import (
    ENOUGH_CALIBRATING,
    ENOUGH_RARER,
    ENOUGH_ROWS,
    ENOUGH_ROWS_TO_TRY,
    ENOUGH_TO_TRY,
    Lesson,
    fit_repeat_buying,
)
from training.labels import Window
from training.members import TREES
from training.next_purchase import fit_head
from training.recipes import Recipe
from training.repeat_buying import BG_NBD
from training.some_customers import SomeCustomers, some_customers
from training.split import Split

NOW = datetime(2024, 6, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Trees:
    """Three small trees: what is asked here does not depend on how good they are."""

    rounds: int = 3

    def parameters(self, *, seed: int, threads: int) -> dict[str, Any]:
        return {"objective": "binary", "num_leaves": 4, "verbose": -1, "seed": seed, "num_threads": threads}


@dataclass
class ManyCustomers:
    """Whoever's number is large orders more often; everybody was known for a year."""

    n: int
    turned: frozenset[int] = frozenset()  # customers of whom the opposite happened
    one_in: int = 1  # of those who would order, so many do
    inputs: tuple[str, ...] = ("number", "n_clicks")
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    schema_version: str = "many"
    first: datetime = NOW - timedelta(days=365)
    known_until: datetime = NOW

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        pass

    def snapshot(self, as_of: datetime) -> Snapshot:
        keys = np.arange(1, self.n + 1, dtype=np.int64)
        return Snapshot(as_of, keys, np.column_stack([keys % 97, keys % 7]).astype(np.float32))

    def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        keys = np.arange(1, self.n + 1, dtype=np.int64)
        ordered = (keys % 97 + (keys * 7919 + as_of.day) % 89) > 110
        ordered &= keys // 97 % self.one_in == 0
        ordered[np.array(sorted(self.turned), dtype=np.int64) - 1] ^= True
        return keys[ordered]

    def n_orders(self, window: Window) -> int:
        return 12_345

    def fingerprint(self) -> str:
        return f"{self.n} customers"


SPLIT = Split(7, (NOW - timedelta(days=7), NOW - timedelta(days=35)), NOW)


@pytest.fixture(scope="module")
def many() -> ManyCustomers:
    return ManyCustomers(ENOUGH_ROWS // 2 + 20_000)


def test_of_many_rows_whoever_calibrates_the_served_trees_taught_them_nothing(many: ManyCustomers) -> None:
    lesson = Lesson(many, SPLIT)
    calibrating = lesson.scored_keys
    turned = ManyCustomers(many.n, turned=frozenset(calibrating.tolist()))

    served, otherwise = (Lesson(one, SPLIT).fit(Trees(), seed=0).booster for one in (many, turned))

    assert served.model_to_string() == otherwise.model_to_string()
    assert 0.9 * ENOUGH_CALIBRATING < len(calibrating) < 1.4 * ENOUGH_CALIBRATING


def test_where_few_order_as_many_calibrate_as_tell_the_level_and_everybody_where_there_are_not_enough() -> None:
    n = ENOUGH_ROWS // 2 + 20_000
    for one_in, everybody in ((20, False), (100, True)):
        shop = ManyCustomers(n, one_in=one_in)
        lesson = Lesson(shop, SPLIT)
        ordered = np.isin(lesson.scored_keys, shop.happened(SPLIT.calibrate, 7))
        assert (len(lesson.scored_keys) == n) is everybody
        assert everybody or 0.9 * ENOUGH_RARER < ordered.sum() < 1.5 * ENOUGH_RARER


def test_what_is_only_tried_is_one_fit_to_some_whom_all_the_others_calibrate(many: ManyCustomers) -> None:
    lesson = Lesson(many, SPLIT, is_tried=True)
    calibrating = lesson.scored_keys
    turned = ManyCustomers(many.n, turned=frozenset(calibrating.tolist()))

    tried, otherwise = (Lesson(one, SPLIT, is_tried=True).fit(Trees(), seed=0).booster for one in (many, turned))

    assert tried.model_to_string() == otherwise.model_to_string()
    assert many.n - len(calibrating) == pytest.approx(ENOUGH_TO_TRY, rel=0.1)
    assert lesson.taught_by == f"{many.n - len(calibrating):,} customers, calibrated by {len(calibrating):,} others"


def test_of_a_shop_of_some_ten_thousand_only_what_is_tried_is_one_fit_and_of_very_few_orders_it_is_not() -> None:
    n = ENOUGH_ROWS_TO_TRY // 2 + 1_000
    scored = {
        (is_tried, one_in): len(Lesson(ManyCustomers(n, one_in=one_in), SPLIT, is_tried=is_tried).scored_keys)
        for is_tried, one_in in ((True, 1), (False, 1), (True, 100))
    }
    assert scored[True, 1] == pytest.approx(n / 3, rel=0.05)  # no more than two thirds teach
    assert scored[False, 1] == scored[True, 100] == n


def test_those_who_teach_do_change_the_served_trees(many: ManyCustomers) -> None:
    lesson = Lesson(many, SPLIT)
    teaching = np.setdiff1d(lesson.calibrating.customer_keys, lesson.scored_keys)[:20_000]
    turned = ManyCustomers(many.n, turned=frozenset(teaching.tolist()))

    served, otherwise = (Lesson(one, SPLIT).fit(Trees(), seed=0).booster for one in (many, turned))

    assert served.model_to_string() != otherwise.model_to_string()


def test_of_few_rows_everybody_teaches_the_served_trees_and_everybody_calibrates() -> None:
    few = ManyCustomers(3_000)
    lesson = Lesson(few, SPLIT)
    assert len(lesson.scored_keys) == 3_000
    turned = ManyCustomers(3_000, turned=frozenset(range(1, 1_001)))

    served, otherwise = (Lesson(one, SPLIT).fit(Trees(), seed=0).booster for one in (few, turned))

    assert served.model_to_string() != otherwise.model_to_string()


def test_the_season_of_very_many_customers_is_known_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = ManyCustomers(12_000, first=NOW - timedelta(days=800))
    recipe = Recipe("small", num_leaves=4, rounds=5, min_data_in_leaf=40, members=(TREES,))

    whole = fit_head(shop, horizon_days=7, used_at=NOW, recipe=recipe).season
    monkeypatch.setattr("training.heads.ENOUGH_TODAY", 3_500)
    some = fit_head(shop, horizon_days=7, used_at=NOW, recipe=recipe).season

    assert whole != 1.0
    assert some != whole
    assert some == pytest.approx(whole, rel=0.03)


def test_a_shop_of_no_more_customers_than_asked_for_is_left_as_it_is() -> None:
    few = ManyCustomers(1_000)
    assert some_customers(few, most=1_000) is few


def test_the_same_customers_are_drawn_at_every_instant_with_the_rows_that_they_have_there() -> None:
    whole = ManyCustomers(10_000)
    some = some_customers(whole, most=2_500)

    then, now = some.snapshot(NOW - timedelta(days=70)), some.snapshot(NOW)

    np.testing.assert_array_equal(then.customer_keys, now.customer_keys)
    np.testing.assert_array_equal(now.X[:, 0], now.customer_keys % 97)
    assert 2_300 < len(now.customer_keys) < 2_700


def test_who_is_drawn_says_nothing_of_who_calibrates() -> None:
    whole = ManyCustomers(ENOUGH_ROWS)
    calibrating = Lesson(whole, SPLIT).scored_keys
    share = len(calibrating) / whole.n

    drawn = some_customers(whole, most=whole.n // 2).snapshot(NOW).customer_keys

    assert np.isin(drawn, calibrating).mean() == pytest.approx(share, rel=0.05)


def test_some_customers_know_of_the_whole_shop_what_is_no_customers_own() -> None:
    whole = ManyCustomers(10_000)
    some = some_customers(whole, most=2_500)

    assert isinstance(some, SomeCustomers)
    assert some.n_orders(Window(NOW - timedelta(days=7), NOW)) == 12_345
    assert some.fingerprint() == whole.fingerprint()
    assert some.known_until == NOW
    np.testing.assert_array_equal(some.happened(NOW, 7), whole.happened(NOW, 7))


def test_a_tiny_world_is_some_customers_of_itself(tiny_world: Callable[..., Source]) -> None:
    world = tiny_world(n_customers=50, days=60)
    assert some_customers(world) is world


def test_repeat_buying_is_fitted_once_an_instant_and_kind_and_some_customers_share_the_fit_of_all(
    tiny_world: Callable[..., Any],
) -> None:
    world = tiny_world(n_customers=200)
    alone = fit_repeat_buying(world, world.known_until, kind=BG_NBD)
    world.repeat_fits = {}
    some = some_customers(world, most=50)

    of_some = fit_repeat_buying(some, world.known_until, kind=BG_NBD)

    assert isinstance(some, SomeCustomers)
    assert len(some.snapshot(world.known_until).customer_keys) < 100
    assert of_some == alone
    assert fit_repeat_buying(world, world.known_until, kind=BG_NBD) is of_some
    assert list(world.repeat_fits) == [(world.known_until, BG_NBD)]
