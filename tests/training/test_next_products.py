"""What the next purchase is of: baskets, what ten items recall, and when trees give way to the most frequent."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contract import EVENT_SCHEMA
from features.database import connect
from features.identity import IdentityTable
from features.lake import Lake
from features.starting import write_starter
from features.workspace import Workspace
from training.evaluating.next_purchase import Evaluated
from training.evaluating.next_purchase_cli import _next_products
from training.evaluating.products import next_products_judged
from training.products.baskets import PRODUCT, Baskets, followed_by, read_baskets
from training.products.candidates import INPUTS, candidates_of, items_of
from training.products.ranking import FREQUENCY, TREES, Window, fit_ranker, ranked, top, window_of
from training.products.telling import next_products

ANNA, BEN = 1, 2
SOAP, CREAM, OIL, BALM = range(4)
NAMES = ("soap", "cream", "oil", "balm")


def baskets(*rows: tuple[int, int, int]) -> Baskets:
    """Of rows (customer, day, item)."""
    keys, days, items = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Baskets.of(keys, days, items, names=NAMES, kind=PRODUCT)


def a_shop(*, rotating: bool, n_customers: int = 260, days: int = 240, n_items: int = 60) -> Baskets:
    """Everybody orders every twelve days or so: their own five items in turn, or the same favourites, and one more."""
    rng = np.random.default_rng(4)
    rows = []
    for customer in range(1, n_customers + 1):
        mine = rng.choice(n_items, size=15, replace=False)
        for turn, day in enumerate(np.cumsum(rng.integers(6, 19, size=days // 6))):
            if day >= days:
                break
            chosen = mine[(3 * turn + np.arange(3)) % 15] if rotating else mine[: 1 + int(rng.integers(3))]
            rows += [(customer, int(day), int(item)) for item in chosen]
    keys, at, items = (np.array(column) for column in zip(*rows, strict=True))
    return Baskets.of(keys, at, items, names=tuple(f"item{i:02}" for i in range(n_items)), kind=PRODUCT)


@pytest.fixture(scope="module")
def rotating() -> Baskets:
    return a_shop(rotating=True)


def test_a_line_that_comes_twice_a_day_is_one() -> None:
    known = baskets((ANNA, 5, SOAP), (ANNA, 5, SOAP), (ANNA, 5, OIL), (BEN, 4, SOAP))
    assert list(zip(known.customer_keys, known.days, known.items, strict=True)) == [
        (BEN, 4, SOAP),
        (ANNA, 5, SOAP),
        (ANNA, 5, OIL),
    ]


def test_the_next_order_is_the_first_day_inside_the_window_with_all_its_items() -> None:
    known = baskets((ANNA, 5, SOAP), (ANNA, 12, OIL), (ANNA, 12, BALM), (ANNA, 15, CREAM), (BEN, 30, SOAP))
    ahead = known.next_after(10, within_days=10)
    assert list(zip(ahead.customer_keys, ahead.days, ahead.items, strict=True)) == [(ANNA, 12, OIL), (ANNA, 12, BALM)]


def test_recall_is_the_share_of_the_next_order_that_was_told() -> None:
    known = baskets((ANNA, 1, SOAP), (ANNA, 2, SOAP), (ANNA, 3, CREAM), (ANNA, 10, SOAP), (ANNA, 10, OIL))
    window = window_of(known, 5, days=10)
    assert window.n_told == 1  # a third of four
    assert list(window.recall(window.candidates.frequency)) == [1 / 2]  # soap, of soap and oil
    assert list(window.recall((window.candidates.item == CREAM).astype(float))) == [0.0]


def test_the_most_frequent_are_the_customers_own_then_everybodys() -> None:
    known = baskets((ANNA, 1, CREAM), (BEN, 1, OIL), (BEN, 2, OIL), (BEN, 3, SOAP), (3, 3, SOAP), (3, 4, SOAP))
    candidates = candidates_of(known, 9, np.array([ANNA]), items_of(known, 9))
    (said,) = ranked(candidates, candidates.frequency, NAMES, n=1)
    assert said[:3] == ["cream", "soap", "oil"]  # hers; then soap, bought on three days, then oil on two


def test_what_a_customer_never_bought_has_no_last_time() -> None:
    known = baskets((ANNA, 1, CREAM), (ANNA, 4, CREAM), (BEN, 1, OIL))
    found = candidates_of(known, 9, np.array([ANNA]), items_of(known, 9))
    rows = {NAMES[item]: dict(zip(INPUTS, row, strict=True)) for item, row in zip(found.item, found.X, strict=True)}
    assert (rows["cream"]["n_days"], rows["cream"]["days_since_last"], rows["cream"]["share"]) == (2, 9 - 4, 1.0)
    assert rows["oil"]["n_days"] == 0
    assert np.isnan(rows["oil"]["days_since_last"])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=40), st.integers(1, 4))
def test_the_highest_of_each_are_those_of_a_sort(rows: list[tuple[int, int]], n_told: int) -> None:
    customer, score = np.array([c for c, _ in rows], dtype=np.int64), np.array([s for _, s in rows], dtype=float)
    expected = np.zeros(len(rows), dtype=bool)
    for one in set(customer.tolist()):
        mine = sorted(np.flatnonzero(customer == one), key=lambda place: (-score[place], place))
        expected[mine[:n_told]] = True
    assert list(top(customer, score, n_told=n_told)) == list(expected)


def test_trees_learn_that_items_are_bought_in_turn(rotating: Baskets) -> None:
    ranker = fit_ranker(rotating, 180, horizon_days=30)
    window = window_of(rotating, 180, days=30)
    trees, often = (
        window.recall(score).mean() for score in (ranker.scores(window.candidates), window.candidates.frequency)
    )
    assert ranker.shipped == TREES
    assert trees > often + 0.05
    assert ranker.judged[TREES] > ranker.judged[FREQUENCY]


def test_where_everybody_buys_their_favourites_the_most_frequent_are_told() -> None:
    ranker = fit_ranker(a_shop(rotating=False), 180, horizon_days=30)
    assert (ranker.shipped, ranker.booster) == (FREQUENCY, None)
    assert "by frequency" in ranker.because


def test_what_comes_later_teaches_nothing(rotating: Baskets) -> None:
    early = fit_ranker(rotating.before(150), 150, horizon_days=30)
    assert fit_ranker(rotating, 150, horizon_days=30) == early


def test_a_short_history_tells_the_most_frequent_and_says_why() -> None:
    known = baskets((ANNA, 1, SOAP), (ANNA, 9, OIL), (BEN, 2, SOAP))
    assert "too short to teach" in fit_ranker(known, 10, horizon_days=30).because
    assert "customers ordered again" in fit_ranker(known, 90, horizon_days=30).because


def test_what_became_of_a_basket_keeps_its_names() -> None:
    known = Baskets.of(*(np.array([v]) for v in (ANNA, 1, 0)), names=("oil",), kind=PRODUCT)
    later = Baskets.of(np.array([ANNA, ANNA]), np.array([1, 8]), np.array([1, 0]), names=("balm", "oil"), kind=PRODUCT)
    both = followed_by(known, later, day=5)
    assert [(int(day), both.names[item]) for day, item in zip(both.days, both.items, strict=True)] == [
        (1, "oil"),
        (8, "balm"),
    ]


def test_nobody_to_judge_is_no_window() -> None:
    window = window_of(baskets((ANNA, 1, SOAP), (BEN, 20, OIL)), 10, days=30)
    assert isinstance(window, Window)
    assert len(window.customer_keys) == 0


def an_order(key: int, n: int, *lines: tuple[str, str | None]) -> dict[str, object]:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=n)
    products = [{"product_id": name, "category": category, "quantity": 1.0, "price": 5.0} for name, category in lines]
    return {
        "event_id": f"{key}-{n}",
        "customer_key": key,
        "event": "Order Completed",
        "occurred_at": at,
        "received_at": at,
        "backfilled": False,
        "order_id": f"{key}-{n}",
        "products": products,
    }


def a_workspace(folder: Path, *orders: dict[str, object]) -> Workspace:
    write_starter(folder)
    workspace = Workspace(folder)
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(list(orders), schema=EVENT_SCHEMA))
    return workspace


def test_items_are_categories_where_lines_name_them_and_products_where_they_do_not(tmp_path: Path) -> None:
    named = an_order(ANNA, 1, ("p1", "soaps"), ("p2", "creams"), ("p3", None))
    workspace = a_workspace(tmp_path / "named", named, an_order(BEN, 2, ("p1", "soaps")))
    found = read_baskets(workspace)
    assert found is not None
    assert (found.kind, found.names) == ("category", ("creams", "soaps"))
    assert len(found.items) == 2 + 1  # of three lines one names no category
    bare = read_baskets(a_workspace(tmp_path / "bare", an_order(ANNA, 1, ("p1", None), ("p2", None), ("p3", "oils"))))
    assert bare is not None
    assert (bare.kind, bare.names) == ("product", ("p1", "p2", "p3"))
    assert read_baskets(a_workspace(tmp_path / "one", an_order(ANNA, 1, ("p1", None)))) is None


def test_everybody_with_an_order_is_told_of_and_parts_of_the_customers_hold_them_all(tmp_path: Path) -> None:
    orders = [an_order(key, key, (f"p{key}", None), ("p1", None)) for key in range(1, 6)]
    workspace, until = a_workspace(tmp_path, *orders), datetime(2026, 4, 1, tzinfo=UTC)
    told = next_products(workspace, np.array([1, 2, 3, 9]), as_of=until, kind=PRODUCT, booster=None)
    assert [None if one is None else one[:2] for one in told] == [["p1", "p2"], ["p1", "p2"], ["p1", "p3"], None]
    whose = [read_baskets(workspace, part=part, n_parts=3) for part in range(3)]
    assert sorted(key for one in whose if one for key in one.customer_keys.tolist()) == [1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_part_that_lies_in_one_bucket_of_the_lake_has_what_was_bought_under_joined_keys_of_others_too(
    tmp_path: Path,
) -> None:
    orders = [an_order(key, key % 9, (f"p{key % 4}", None), (f"p{key % 3}", None)) for key in range(1, 40)]
    workspace = a_workspace(tmp_path, *orders)
    with closing(connect(workspace.database)) as connection, connection:
        IdentityTable(connection)  # makes the tables
        for from_key, into_key in ((5, 14), (14, 31)):
            merge = "INSERT INTO customer_merges (from_key, into_key, merged_at, why) VALUES (?, ?, 0, 'alias')"
            connection.execute(merge, (from_key, into_key))
    whole = read_baskets(workspace)
    parts = [read_baskets(workspace, part=part, n_parts=16, kind=PRODUCT) for part in range(16)]

    def bought(baskets: Baskets) -> list[tuple[int, int, str]]:
        items = [baskets.names[item] for item in baskets.items.tolist()]
        return list(zip(baskets.customer_keys.tolist(), baskets.days.tolist(), items, strict=True))

    assert whole is not None
    assert sorted(bought(whole)) == sorted(row for one in parts if one for row in bought(one))
    assert {key for key, _, _ in bought(whole)} == set(range(1, 40)) - {5, 14}


def test_what_was_told_beforehand_is_judged_by_the_next_order_alone(tmp_path: Path) -> None:
    orders = []
    for key in (1, 2, 3):
        orders += [an_order(key, 1, ("p1", None), ("p2", None)), an_order(key, 3, ("p1", None))]
        orders += [an_order(key, 10, ("p1", None), ("new", None)), an_order(key, 12, ("p2", None))]
    late = an_order(4, 2, ("p2", None), ("p3", None)) | {"received_at": datetime(2026, 3, 20, tzinfo=UTC)}
    workspace, cutoff = a_workspace(tmp_path, *orders, late), datetime(2026, 3, 8, tzinfo=UTC)
    day = (cutoff - datetime(1970, 1, 1, tzinfo=UTC)).days
    found = next_products_judged(workspace, cutoff=cutoff, day=day, horizon_days=30, seed=0)["next_products"]
    assert (found["kind"], found["n"], found["n_kinds"], found["told"]) == (PRODUCT, 3, 2, 1)  # p3 was not known then
    ours, often = found["models"]
    assert ours["name"] == "ours (frequency)"
    assert often["recall"] == ours["recall"] == 1 / 2  # p1, of p1 and what nobody had ever bought
    assert often["hit_rate"] == 1.0
    table = Evaluated(date(2026, 3, 8), 30, 3, "ours", (), more={"next_products": found})
    printed = "\n".join(_next_products(table))
    assert "| ours (frequency) | 0.5000 | 1.000 |" in printed
    assert "recall@1" in printed
    assert _next_products(Evaluated(date(2026, 3, 8), 30, 3, "ours", ())) == []


def test_orders_without_items_are_judged_by_nothing(tmp_path: Path) -> None:
    workspace, cutoff = a_workspace(tmp_path, an_order(1, 1)), datetime(2026, 3, 8, tzinfo=UTC)
    assert next_products_judged(workspace, cutoff=cutoff, day=20_520, horizon_days=30, seed=0) == {}
