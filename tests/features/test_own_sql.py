"""The brand's own features: what may be written, and what is said of what may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from features.aggregation import Sources, aggregate
from features.brand import load_brand
from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake, InvalidFile
from features.feature_checks import check_features
from features.history import open_workspace
from features.lake import Lake
from features.own_sql import no_events, own_views
from features.schema import feature_schema
from features.workspace import Workspace

COUNT = "SELECT customer_key, count(*) AS n_late FROM events WHERE occurred_at >= $as_of - INTERVAL 2 DAY GROUP BY 1"


@pytest.fixture
def with_sql(a_workspace: Callable[..., Workspace]) -> Callable[..., Workspace]:
    def make(sql: str, name: str = "mine", events: Any = ()) -> Workspace:
        workspace = a_workspace(events)
        (workspace.sql_folder / f"{name}.sql").write_text(sql, "utf-8")
        return workspace

    return make


def test_a_view_is_tried_on_the_columns_that_it_will_read() -> None:
    with duckdb.connect() as connection:
        connection.register("events_of_arrow", EVENT_SCHEMA.empty_table())
        connection.execute(no_events())
        tried, read = (
            connection.execute(f"SELECT * EXCLUDE ({none}) FROM {table}").description
            for table, none in (("events", "customer_key"), ("events_of_arrow", "customer_key, superseded_at"))
        )
    assert [column[:2] for column in tried] == [column[:2] for column in read]
    assert len(tried) == len(EVENT_SCHEMA) - 2


def test_a_file_that_would_be_read_in_part_only_is_refused(with_sql: Callable[..., Workspace]) -> None:
    with pytest.raises(InvalidFile, match="a NUL character"):
        own_views(with_sql(f"{COUNT}\0; SELECT getenv('HOME')"))


def test_a_view_of_the_brands_own_is_a_feature_like_any_other(
    with_sql: Callable[..., Workspace], an_event: Callable[..., Any], noon: Any
) -> None:
    events = [an_event(1, "Page Viewed", days_ago=days) for days in (1, 2, 3)]
    workspace = with_sql(COUNT, events=[*events, an_event(2, "Page Viewed", days_ago=9)])
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    assert "n_late" in schema.numeric
    assert "n_late" in schema.model_inputs
    assert schema.column("n_late").view == "mine"
    for customers in (None, (1, 2)):
        sources = Sources(Lake(workspace.lake), customers=customers)
        table = next(iter(aggregate(sources, [noon], brand=brand, schema=schema)))
        assert table["n_late"].to_pylist() == [2, None]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT customer_key, count(*) AS n FROM read_csv('/etc/passwd') GROUP BY 1", "read_csv"),
        ("SELECT customer_key, count(*) AS n FROM '/etc/passwd' GROUP BY 1", "/etc/passwd"),
        ("SELECT customer_key, count(*) AS n FROM duckdb_settings(), events GROUP BY 1", "duckdb_settings"),
        ("SELECT customer_key, epoch(now()) AS n FROM events", "now"),
        ("SELECT customer_key, random() AS n FROM events", "random"),
        ("SELECT customer_key, year(current_date) AS n FROM events", "current_date"),
        ("SELECT customer_key, count(*) AS n FROM events GROUP BY 1 USING SAMPLE 10%", "SAMPLE"),
        ("SELECT customer_key, count(*) AS n FROM history GROUP BY 1", "history"),
        ("SELECT customer_key, total > $limit AS n FROM events", "$limit"),
        ("CREATE TABLE t (a INT)", "SELECT"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT customer_key, event FROM events", "VARCHAR"),
        ("SELECT count(*) AS n FROM events", "customer_key"),
        ("SELECT customer_key FROM events", "no feature"),
        ("SELECT customer_key, count(*) FROM events GROUP BY 1", "not a name"),
        ("SELECT customer_key, sum(totale) AS n FROM events GROUP BY 1", "totale"),
        ("SELECT customer_key, count(*) AS n_orders FROM events GROUP BY 1", "already taken by Rapport's own features"),
        ("SELECT customer_key, 1 AS n_products_bought FROM events", "already taken by sets_bought.sql"),
        ("SELEC 1", "SELEC"),
    ],
)
def test_what_may_not_be_written_is_refused_with_its_name(
    with_sql: Callable[..., Workspace], sql: str, said: str
) -> None:
    workspace = with_sql(sql, name="zzz")
    with pytest.raises(InvalidFile) as refused:
        feature_schema(load_brand(workspace), workspace)
    assert said in str(refused.value)


def test_a_view_needs_a_name_of_its_own(with_sql: Callable[..., Workspace]) -> None:
    for name in ("recent", "Big-Name"):
        with pytest.raises(InvalidFile, match=name):
            own_views(with_sql(COUNT, name=name))


def test_more_than_one_row_a_customer_is_refused(
    with_sql: Callable[..., Workspace], an_event: Callable[..., Any], noon: Any
) -> None:
    events = [an_event(1, "Page Viewed"), an_event(1, "Page Viewed")]
    workspace = with_sql("SELECT customer_key, 1 AS one FROM events", events=events)
    brand = load_brand(workspace)
    with pytest.raises(CallersMistake, match="more than one row"):
        list(aggregate(Sources(Lake(workspace.lake)), [noon], brand=brand, schema=feature_schema(brand, workspace)))


def test_sql_that_fails_on_the_events_names_its_file(
    with_sql: Callable[..., Workspace], an_event: Callable[..., Any], noon: Any
) -> None:
    sql = "SELECT customer_key, max(CAST(event AS INTEGER)) AS n FROM events GROUP BY 1"
    workspace = with_sql(sql, events=[an_event(1, "Page Viewed")])
    brand = load_brand(workspace)
    with pytest.raises(CallersMistake, match=r"features/mine\.sql fails .*TRY_CAST"):
        list(aggregate(Sources(Lake(workspace.lake)), [noon], brand=brand, schema=feature_schema(brand, workspace)))


def test_a_column_may_be_called_like_a_function(with_sql: Callable[..., Workspace]) -> None:
    sql = (
        "WITH named AS (SELECT customer_key, total AS query, value AS today, value AS uuid FROM events) "
        "SELECT customer_key, sum(query) AS a, sum(named.today) AS b, sum(uuid) AS c FROM named GROUP BY 1"
    )
    assert own_views(with_sql(sql))[0].columns == ("a", "b", "c")


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("SELECT customer_key, count(*) AS n FROM events GROUP BY customer_key", "PASS"),
        ("SELECT customer_key, sum(count(*)) OVER () AS n FROM events GROUP BY customer_key", "FAIL"),
    ],
)
def test_a_view_that_counts_others_fails_its_check(
    with_sql: Callable[..., Workspace], an_event: Callable[..., Any], noon: Any, sql: str, status: str
) -> None:
    events = [an_event(key, "Page Viewed", days_ago=days) for key in range(1, 40) for days in (1, 40)]
    opened = open_workspace(with_sql(sql, events=events).root)
    assert check_features(opened, "mine", as_of=noon)[-1].status == status
