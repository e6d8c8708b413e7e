"""One customer's row, recomputed alone and at once, is the row that a snapshot of everyone holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.aggregation import Sources, aggregate
from features.brand import Brand, load_brand
from features.by_customer import ensure_by_customer
from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake
from features.lake import Lake, instant_us
from features.merges import Merge
from features.recompute import Recomputer
from features.schema import FeatureSchema, feature_schema
from features.starting import write_starter
from features.workspace import Workspace
from tests.features.test_feature_properties import NOON, histories

INSTANTS = [NOON - timedelta(days=14), NOON - timedelta(days=7), NOON]
LAST_ORDER = """
    SELECT customer_key, date_diff('hour', max(occurred_at), $as_of) AS hours_since_order, '$as_of' = 'x' AS is_never
    FROM events WHERE event = 'Order Completed' GROUP BY customer_key -- not this one: $as_of
"""

Event = dict[str, Any]
Tables = Callable[..., pa.Table]


class World:
    """A workspace with a view of its own that names the instant, its recomputer, and what everyone's rows are."""

    def __init__(self, root: Path, events_table: Tables) -> None:
        self.workspace = Workspace(root)
        write_starter(root)
        (self.workspace.sql_folder / "last_order.sql").write_text(LAST_ORDER)
        self.brand: Brand = load_brand(self.workspace)
        self.schema: FeatureSchema = feature_schema(self.brand, self.workspace)
        self.recomputer = Recomputer(self.workspace, self.brand, self.schema)
        self._events_table = events_table

    def put(self, events: Iterable[Event]) -> None:
        table = self._events_table(list(events), EVENT_SCHEMA)
        if table.num_rows:
            with Lake(self.workspace.lake).writer() as writer:
                writer.write(table)
        ensure_by_customer(self.workspace)

    def recomputed(
        self, customers: Sequence[int], at: datetime, log: Sequence[Event], merges: Sequence[Merge] = ()
    ) -> pa.Table:
        return self.recomputer.rows(customers, as_of=at, log=self._events_table(log), merges=merges)

    def everyone(self, log: Sequence[Event], merges: Sequence[Merge] = ()) -> list[pa.Table]:
        sources = Sources(Lake(self.workspace.lake), log=self._events_table(log), merges=tuple(merges))
        return list(aggregate(sources, INSTANTS, brand=self.brand, schema=self.schema))


@pytest.fixture
def world(tmp_path: Path, events_table: Tables) -> Iterator[World]:
    made = World(tmp_path, events_table)
    yield made
    made.recomputer.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, events_table: Tables) -> Iterator[World]:
    """A world whose lake stays empty: all that examples need comes from the log."""
    made = World(tmp_path_factory.mktemp("shared"), events_table)
    yield made
    made.recomputer.close()


instants_of_merges = st.sampled_from([NOON - timedelta(days=days) for days in (30, 14, 10, 7, 3, 0)])


@st.composite
def joins(draw: st.DrawFn) -> tuple[Merge, ...]:
    """Any forest over the customers 1, 2, 3, joined at, before and after the instants."""
    forest = draw(st.sampled_from([(), ((1, 2),), ((1, 2), (2, 3)), ((1, 3), (2, 3)), ((3, 1), (1, 2)), ((2, 1),)]))
    return tuple(Merge(a, b, instant_us(draw(instants_of_merges))) for a, b in forest)


def one_person(history: Sequence[Event], merges: Sequence[Merge], at: datetime) -> list[Event]:
    """The same events, had each been written under the key of the person whose it is as of an instant."""
    into = {merge.from_key: merge.into_key for merge in merges if merge.merged_at_us < instant_us(at)}

    def person(key: int) -> int:
        return person(into[key]) if key in into else key

    return [event | {"customer_key": person(event["customer_key"])} for event in history]


@given(history=histories, merges=joins())
@settings(max_examples=7, deadline=None)
def test_alone_or_with_everyone_joined_customers_are_one_from_the_join_on(
    shared: World, history: list[Event], merges: tuple[Merge, ...]
) -> None:
    together = shared.everyone(history, merges)
    for at, rows in zip(INSTANTS, together, strict=True):
        alone = shared.recomputed((1, 2, 3), at, history, merges)
        assert alone.schema.equals(rows.schema)
        assert alone.to_pylist() == rows.to_pylist()
        # All but consents: of these the stricter holds, whoever turned out to be one (test_consent_of_persons.py).
        rest = [event for event in history if not event["event"].startswith("Consent")]
        assert (
            shared.recomputed((1, 2, 3), at, rest, merges).to_pylist()
            == shared.recomputed((1, 2, 3), at, one_person(rest, merges, at)).to_pylist()
        )
        assert shared.recomputed((2,), at, history, merges).to_pylist() == [
            row for row in rows.to_pylist() if row["customer_key"] == 2
        ]


@given(history=histories, merges=joins(), seed=st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_events_shuffled_doubled_and_late_over_lake_and_log_give_the_row_of_the_snapshot(
    tmp_path_factory: pytest.TempPathFactory,
    events_table: Tables,
    history: list[Event],
    merges: tuple[Merge, ...],
    seed: random.Random,
) -> None:
    world = World(tmp_path_factory.mktemp("late"), events_table)
    arriving = list(history)
    seed.shuffle(arriving)
    cut = len(arriving) // 2
    world.put(arriving[:cut])
    log: list[Event] = []
    for event in [*arriving[cut:], *arriving[cut // 2 : cut]]:  # the last of these are in the lake already
        log.append(event)
        if len(log) % 5 == 0:
            world.recomputed((1, 2, 3), NOON, log, merges)  # what came before leaves no trace
    expected = world.everyone(history, merges)[-1].to_pylist()
    assert world.recomputed((1, 2, 3), NOON, log, merges).to_pylist() == expected
    world.put(arriving[cut:])
    assert world.recomputed((1, 2, 3), NOON, [], merges).to_pylist() == expected
    world.recomputer.close()


def test_a_corrected_event_counts_as_it_was_known(world: World, an_order: Callable[..., Event]) -> None:
    wrong = an_order(1, days_ago=20, total=500.0)
    world.put([wrong, an_order(2, days_ago=20, total=1.0)])
    known_at = NOON - timedelta(days=7)
    right = wrong | {"total": 50.0, "received_at": known_at}
    correction = {"event_id": [wrong["event_id"]], "known_at": [known_at.replace(tzinfo=None)]}
    with Lake(world.workspace.lake).writer() as writer:
        writer.supersede(
            pa.table(correction, schema=pa.schema([("event_id", pa.string()), ("known_at", "timestamp[us]")]))
        )
        writer.write(world._events_table([right], EVENT_SCHEMA))
    ensure_by_customer(world.workspace)
    revenue = [world.recomputed((1,), at, [])["revenue"].to_pylist() for at in INSTANTS]
    assert revenue == [[500.0], [500.0], [50.0]]
    assert [table.slice(0, 1).to_pylist() for table in world.everyone([])] == [
        world.recomputed((1,), at, []).to_pylist() for at in INSTANTS
    ]


def is_current(world: World) -> bool:
    return world.recomputer.by_customer.is_current


def test_rows_are_right_where_the_files_by_customer_are_missing_or_of_an_older_lake(
    world: World, an_order: Callable[..., Event]
) -> None:
    with Lake(world.workspace.lake).writer() as writer:
        writer.write(world._events_table([an_order(1), an_order(2)], EVENT_SCHEMA))
    assert not is_current(world)
    assert world.recomputed((1,), NOON, [])["n_orders"].to_pylist() == [1]
    world.put([an_order(1)])
    assert is_current(world)
    assert world.recomputed((1,), NOON, [])["n_orders"].to_pylist() == [2]
    with Lake(world.workspace.lake).writer() as writer:
        writer.write(world._events_table([an_order(1)], EVENT_SCHEMA))
    assert world.recomputed((1,), NOON, [])["n_orders"].to_pylist() == [3]


def test_what_one_customer_costs_does_not_grow_with_everyones_events(
    world: World, an_order: Callable[..., Event], an_event: Callable[..., Event]
) -> None:
    def read_for_one() -> int:
        before = world.recomputer.n_events_read
        world.recomputed((1,), NOON, [an_order(1)])
        return world.recomputer.n_events_read - before

    world.put([an_order(1), an_order(1)])
    alone = read_for_one()
    world.put([an_event(key, "Page Viewed") for key in range(1, 1_000) for _ in range(1 if key == 1 else 3)])
    assert (alone, read_for_one()) == (2 + 1, 3 + 1)


def test_a_customer_of_whom_nothing_is_known_has_no_row(world: World, an_order: Callable[..., Event]) -> None:
    world.put([an_order(1)])
    nobody = world.recomputed((9,), NOON, [])
    assert nobody.num_rows == 0
    assert nobody.schema.equals(world.recomputed((1,), NOON, []).schema)
    assert world.recomputed((), NOON, []).num_rows == 0


def test_more_customers_than_one_statement_takes_are_all_there(world: World, an_order: Callable[..., Event]) -> None:
    world.put([an_order(key, total=float(key)) for key in range(1, 601)])
    rows = world.recomputed(range(1, 601), NOON, [])
    assert rows.to_pylist() == world.everyone([])[-1].to_pylist()
    assert rows["revenue"].to_pylist() == [float(key) for key in range(1, 601)]


def test_the_first_and_the_last_source_are_those_of_the_visits_that_said_so(
    shared: World, an_event: Callable[..., Event]
) -> None:
    visits = [
        an_event(1, "Page Viewed", days_ago=9),
        an_event(1, "Page Viewed", days_ago=8, source="google / cpc"),
        an_event(1, "Page Viewed", days_ago=3, source="unknown"),
        an_event(1, "Page Viewed", days_ago=1),
        an_event(2, "Page Viewed", days_ago=1),
    ]
    rows = shared.recomputed((1, 2), NOON, visits).select(["first_source", "last_source"]).to_pylist()
    assert rows == [
        {"first_source": "google / cpc", "last_source": "unknown"},
        {"first_source": None, "last_source": None},
    ]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT customer_key, CAST(event AS INTEGER) AS n FROM events", "broken.sql fails"),
        ("SELECT customer_key, 1 AS n FROM events", "broken.sql gives more than one row for customer 1"),
    ],
)
def test_own_sql_that_fails_on_the_events_is_named(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event], events_table: Tables, sql: str, said: str
) -> None:
    workspace = a_workspace()
    (workspace.sql_folder / "broken.sql").write_text(sql)
    brand = load_brand(workspace)
    recomputer = Recomputer(workspace, brand, feature_schema(brand, workspace))
    with pytest.raises(CallersMistake, match=said):
        recomputer.rows((1,), as_of=datetime(2024, 6, 1, tzinfo=UTC), log=events_table([an_order(1), an_order(1)]))
    recomputer.close()
