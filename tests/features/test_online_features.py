"""The online row of a customer: the same as the offline one, with its age, or why it is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.aggregation import Sources, aggregate
from features.brand import load_brand
from features.database import connect
from features.event_log import MATERIALIZED_THROUGH, EventLog
from features.explain import explain_customer
from features.history import OpenWorkspace
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.online import OnlineFeatures
from features.online_checks import online_as_offline
from features.online_rows import OnlineRows, Row
from features.packing import CustomerState, Missing, matrices
from features.snapshots import build_snapshots, event_log_table, snapshot_path
from features.store_cli import features as features_cli
from features.sync import sync
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

N_CUSTOMERS = 12


@pytest.fixture(scope="module")
def shop(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], an_order: Callable[..., Any]
) -> Workspace:
    """Two years of twelve customers in the lake."""
    random = np.random.default_rng(3)
    events = []
    for customer in range(1, N_CUSTOMERS + 1):
        for days_ago in random.uniform(0.5, 730, size=25):
            kind = random.choice(["order", "Product Viewed", "Message Sent", "Question Answered"])
            if kind == "order":
                line = {"product_id": "p", "category": str(random.choice(["x", "y"])), "quantity": 1.0, "price": 9.5}
                events.append(an_order(customer, days_ago=days_ago, total=9.5, products=[line]))
            elif kind == "Question Answered":
                answer = str(random.choice(["acne", "dryness"]))
                events.append(an_event(customer, kind, days_ago=days_ago, trait="skin_need", answer=answer))
            else:
                events.append(an_event(customer, str(kind), days_ago=days_ago, action_id="a", campaign="c"))
    workspace = a_workspace(events)
    connection = connect(workspace.database)
    IdentityTable(connection).keys_for([f"shop-{n}" for n in range(1, N_CUSTOMERS + 1)])
    connection.close()
    return workspace


@pytest.fixture(scope="module")
def online(shop: Workspace, noon: datetime) -> Iterator[OnlineFeatures]:
    opened = OnlineFeatures.open(shop)
    opened.materialize(noon)
    yield opened
    opened.close()


def as_read(state: CustomerState) -> tuple[Any, ...]:
    return state.vector.tobytes(), state.instants.tolist(), state.declared, state.consents, state.locale


def test_every_online_row_equals_the_offline_row(online: OnlineFeatures, noon: datetime) -> None:
    table = pq.read_table(snapshot_path(online.workspace, noon))
    vector, instants = matrices(table, online.schema)
    states = online.read_many(table["customer_key"].to_pylist())
    assert len(states) == N_CUSTOMERS
    for row, state in enumerate(states):
        assert isinstance(state, CustomerState)
        np.testing.assert_array_equal(state.vector, vector[row])
        np.testing.assert_array_equal(state.instants, instants[row])
        assert state.as_of == noon
        said = table["declared"][row].as_py()
        assert state.declared == (json.loads(said) if said else {})


def test_an_unknown_customer_is_missing_with_a_reason(online: OnlineFeatures) -> None:
    assert online.read(999_999) == Missing("unknown_customer")


def test_two_years_imported_and_one_live_event_give_the_offline_row(
    online: OnlineFeatures, an_order: Callable[..., Any], noon: datetime
) -> None:
    before = online.read(3)
    live = an_order(3, days_ago=-0.5, total=77.0)
    [seq] = online.log.append([live])
    later = noon + timedelta(days=1)
    online.refresh([3], now=later)
    state = online.read(3)
    assert isinstance(before, CustomerState)
    assert isinstance(state, CustomerState)
    n_orders = online.schema.numeric.index("n_orders")
    assert state.vector[n_orders] == before.vector[n_orders] + 1
    assert (state.log_seq, state.as_of) == (seq, later)
    everyone = aggregate(
        Sources(Lake(online.workspace.lake), log=event_log_table(online.workspace)),
        [later],
        brand=online.brand,
        schema=online.schema,
    )
    table = next(iter(everyone))
    vector, instants = matrices(table.slice(table["customer_key"].to_pylist().index(3), 1), online.schema)
    np.testing.assert_array_equal(state.vector, vector[0])
    np.testing.assert_array_equal(state.instants, instants[0])


def test_a_row_behind_the_log_is_recomputed_before_it_is_read(
    online: OnlineFeatures, an_event: Callable[..., Any]
) -> None:
    now = datetime.now(UTC)
    [seq] = online.log.append([an_event(5, "Product Viewed", occurred_at=now)])
    state = online.read_current(5)
    assert isinstance(state, CustomerState)
    assert state.log_seq == seq == online.log.newest_of(5)
    assert state.as_of > now


def test_materialize_adds_what_came_after_its_instant(
    online: OnlineFeatures, an_event: Callable[..., Any], noon: datetime
) -> None:
    [seq] = online.log.append([an_event(7, "Product Viewed", occurred_at=noon + timedelta(hours=1))])
    online.materialize(noon)
    state = online.read(7)
    assert isinstance(state, CustomerState)
    assert state.log_seq == seq


def n_events(online: OnlineFeatures, state: CustomerState | Missing) -> float:
    assert isinstance(state, CustomerState)
    return float(state.vector[online.schema.numeric.index("n_events")])


def test_a_recomputed_row_is_read_from_memory_until_it_is_written(
    online: OnlineFeatures, an_event: Callable[..., Any], noon: datetime
) -> None:
    before = n_events(online, online.read(2))
    online.log.append([an_event(2, "Page Viewed", days_ago=0.1)])
    made = online.recompute([(2,)], at=noon)
    assert n_events(online, online.read(2)) == before + 1
    assert online.rows.read([2]) != [made.rows[0][1]]
    online.write(made)
    assert online.rows.read([2]) == [made.rows[0][1]]
    assert n_events(online, online.read(2)) == before + 1


def test_a_row_that_is_written_late_over_a_newer_one_is_noticed(
    online: OnlineFeatures, an_event: Callable[..., Any], noon: datetime
) -> None:
    late = online.recompute([(4,)], at=noon)  # a worker that is then held up
    online.log.append([an_event(4, "Page Viewed", days_ago=0.1)])
    newest = online.read_current(4, noon)
    online.write(late)
    assert n_events(online, online.read(4)) == n_events(online, newest) - 1
    assert n_events(online, online.read_current(4, noon)) == n_events(online, newest)


def test_a_row_of_before_the_log_was_pruned_is_not_trusted(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: datetime
) -> None:
    workspace = a_workspace([an_event(1, "Page Viewed")])
    shop = OnlineFeatures.open(workspace)
    shop.materialize(noon)
    late = shop.recompute([(1,)], at=noon)
    shop.log.append([an_event(1, "Page Viewed", days_ago=0.2)])
    sync(workspace)
    shop.materialize(noon)
    sync(workspace)
    assert shop.log.newest_of(1) == 0  # pruned
    shop.write(late)
    assert n_events(shop, shop.read(1)) == 1
    assert n_events(shop, shop.read_current(1, noon)) == 2
    assert n_events(shop, shop.read(1)) == 2
    shop.close()


def test_joined_customers_are_one_from_the_join_on(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: datetime
) -> None:
    shop = OnlineFeatures.open(a_workspace([an_event(1, "Page Viewed"), an_event(2, "Page Viewed")]))
    shop.identity.keys_for(["user"])
    shop.identity.keys_for(["device"], "anonymous")
    shop.materialize(noon)
    assert n_events(shop, shop.read_current(1, noon)) == 1
    shop.identity.join(user_id="user", anonymous_id="device", at_us=instant_us(noon))
    for key in (1, 2, (1, 2)):
        state = shop.read_current(key, noon)
        assert n_events(shop, state) == 2
        assert isinstance(state, CustomerState)
        assert state.joined == (2,)
    shop.log.append([an_event(2, "Page Viewed", days_ago=0)])  # it was on its way under the device's key
    assert n_events(shop, shop.read_current(1, noon)) == 3
    shop.materialize(noon + timedelta(days=1))
    assert n_events(shop, shop.read(1)) == 3
    assert not shop.is_behind(shop.read(1), (1, 2), shop.log)
    shop.close()


class Interrupted(OnlineRows):
    """Rows between whose writes something happens."""

    def __init__(self, rows: OnlineRows, happens: Callable[[], None]) -> None:
        self.__dict__ |= vars(rows)
        self._happens = happens

    def write(self, rows: Iterable[Row]) -> int:
        """Before, between and after two halves of them."""
        every = list(rows)
        self._happens()
        for half in (every[::2], every[1::2]):
            super().write(half)
            self._happens()
        return len(every)


def test_events_that_arrive_during_a_materialize_are_in_the_next_decision(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: datetime
) -> None:
    """Also those that arrive before its instant: the snapshot, which was made already, lacks them."""
    everyone = range(1, 7)
    shop = a_workspace([an_event(key, "Page Viewed", days_ago=9) for key in everyone])
    online, worker = OnlineFeatures.open(shop), OnlineFeatures.open(shop)
    as_of = noon + timedelta(days=30)
    counted = Counter(dict.fromkeys(everyone, 1))
    random = np.random.default_rng(5)

    def somebody_looks_around() -> None:
        for key in random.choice(everyone, size=3).tolist():
            worker.log.append([an_event(key, "Page Viewed", days_ago=-29)])
            counted[key] += 1
            if random.random() < 0.5:  # a decision comes between: its row is newer than the one to be written
                assert n_events(worker, worker.read_current(key, as_of)) == counted[key]

    online.rows = Interrupted(online.rows, somebody_looks_around)
    for _ in range(2):
        online.materialize(as_of)
        for key in everyone:
            assert n_events(worker, worker.read_current(key, as_of)) == counted[key], key
    assert counted.total() > 20
    online.close()
    worker.close()


def test_a_row_says_that_it_covers_what_had_arrived_before_its_instant_and_no_more(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: datetime
) -> None:
    shop = OnlineFeatures.open(a_workspace([an_event(1, "Page Viewed", days_ago=9)]))
    for days_ago in (3, 2, -1, 1):  # the third arrives after noon; the fourth, which is counted, after it
        shop.log.append([an_event(1, "Page Viewed", days_ago=days_ago)])
    shop.log.append([an_event(2, "Page Viewed", days_ago=1)])
    shop.materialize(noon)
    assert shop.log.state(MATERIALIZED_THROUGH) == 2
    state = shop.read(1)
    assert isinstance(state, CustomerState)
    assert (state.log_seq, n_events(shop, state)) == (5, 5)  # whoever has newer events is recomputed at the end
    shop.materialize(noon + timedelta(days=2))
    assert shop.log.state(MATERIALIZED_THROUGH) == 5
    shop.close()


def test_a_workspace_without_data_has_rows_of_nobody(a_workspace: Callable[..., Workspace], noon: datetime) -> None:
    empty = OnlineFeatures.open(a_workspace())
    assert empty.read(1) == Missing("unknown_customer")
    assert empty.materialize(noon) == 0
    assert empty.refresh([1]) == 0
    assert empty.read_current(1) == Missing("unknown_customer")
    empty.close()


def test_the_same_event_is_logged_once(online: OnlineFeatures, an_event: Callable[..., Any]) -> None:
    event = an_event(9, "Page Viewed")
    first, second = online.log.append([event]), online.log.append([event])
    assert first[0] is not None
    assert second == [None]


def test_a_log_inside_a_transaction_stands_or_falls_with_it(shop: Workspace, an_event: Callable[..., Any]) -> None:
    connection = connect(shop.database)
    log = EventLog(connection)
    before = log.since(0).num_rows
    connection.execute("BEGIN IMMEDIATE")
    log.append([an_event(9, "Page Viewed")])
    connection.rollback()
    assert log.since(0).num_rows == before
    connection.close()


def test_feast_joins_as_of_and_loses_no_row(shop: Workspace, online: OnlineFeatures, noon: datetime) -> None:
    brand = load_brand(shop)
    opened = OpenWorkspace(shop, brand, online.schema)
    instants = [noon - timedelta(days=14), noon - timedelta(days=7), noon]
    paths = build_snapshots(shop, instants)
    random = np.random.default_rng(11)
    asked = noon - pd.to_timedelta(random.uniform(-5, 20, size=60), unit="D").round("us")
    entities = pd.DataFrame({"customer_key": random.integers(1, N_CUSTOMERS + 3, size=60), "event_timestamp": asked})
    entities.loc[:2, "event_timestamp"] = instants  # exactly at a snapshot
    entities["event_timestamp"] = entities["event_timestamp"].dt.as_unit("us")
    joined = opened.feast_frame(entities, store=online.store)
    snapshots = pd.concat([pq.read_table(path).to_pandas() for path in paths])
    snapshots = snapshots[[column for column in snapshots.columns if column != "created_timestamp"]]
    snapshots["event_timestamp"] = snapshots["event_timestamp"].dt.tz_localize("UTC").dt.as_unit("us")
    expected = pd.merge_asof(
        entities.sort_values("event_timestamp"),
        snapshots.sort_values("event_timestamp"),
        on="event_timestamp",
        by="customer_key",
    )
    order = ["customer_key", "event_timestamp"]
    joined = joined.sort_values(order, ignore_index=True)
    expected = expected.sort_values(order, ignore_index=True)
    assert len(joined) == len(entities)
    for name in (*online.schema.numeric, "declared", "top_category"):
        pd.testing.assert_series_equal(
            joined[name], expected[name], check_dtype=False, check_names=False, obj=name, check_exact=True
        )


def test_the_packed_and_the_readable_values_of_a_customer_are_equal(
    online: OnlineFeatures, shop: Workspace, noon: datetime
) -> None:
    explained = explain_customer(shop, "shop-2", now=noon)
    told = {row.name: row.value for row in explained.rows}
    table = pq.read_table(snapshot_path(shop, noon))
    row = table.slice(table["customer_key"].to_pylist().index(explained.customer_key), 1).to_pylist()[0]
    for name in online.schema.numeric:
        assert told.get(name) == row[name], name


def test_a_row_that_somebody_else_packed_fails_the_check(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], an_order: Callable[..., Any], noon: datetime
) -> None:
    workspace = a_workspace([an_event(1, "Page Viewed"), an_order(1, total=5.0), an_event(2, "Page Viewed")])
    shop = OnlineFeatures.open(workspace)
    opened = OpenWorkspace(workspace, shop.brand, shop.schema)

    def check() -> tuple[str, str]:
        told = online_as_offline(opened, [1, 2], names=["n_orders", "n_events", "last_order_at"])
        return told.status, told.detail

    assert check()[0] == "WARN"
    shop.materialize(noon)
    assert check() == ("PASS", "2 customers, 3 features")
    shop.log.append([an_event(2, "Page Viewed")])  # this row is behind, and known to be
    assert check() == ("PASS", "1 customers, 3 features")
    ((_, cell, _),) = shop.recompute([(2,)], at=noon).rows
    shop.rows.write([(1, cell, noon)])
    assert check() == ("FAIL", "last_order_at, n_orders")
    shop.close()


def test_the_verbs(shop: Workspace, online: OnlineFeatures, noon: datetime) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(features_cli, [*arguments, "--workspace", str(shop.root)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    built = json.loads(run("build", "--as-of", noon.isoformat(), "--history-weeks", "2", "--json"))
    assert [entry["as_of"] for entry in built] == ["2024-05-25T12:00:00+00:00", "2024-06-01T12:00:00+00:00"]
    assert json.loads(run("materialize", "--as-of", noon.isoformat(), "--json"))["n_customers"] == N_CUSTOMERS
    assert json.loads(run("show", "shop-1", "--json"))["customer"] == "shop-1"
    assert "n_orders" in run("show", "shop-1")
    checks = json.loads(run("check", "sets_bought", "--as-of", noon.isoformat(), "--json"))
    assert {check["status"] for check in checks} <= {"PASS", "WARN"}
    assert checks[-2]["name"] == "row in the online store = row of lake and log"
    assert "row computed alone = row computed with everyone" in checks[-1]["name"]
    assert checks[-1]["status"] == "PASS"
