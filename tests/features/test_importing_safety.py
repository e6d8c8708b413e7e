"""A mapping cannot read what it should not, and a killed import has not happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from features.faults import CallersMistake, InvalidFile
from features.importing.safe_sql import expression_problems, query_problems
from features.lake_checks import lake_checks
from tests.features.import_world import ORDERS, World, a_world

CSV = "customer,at,order,total\nana,2024-01-01,1,5\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "(SELECT content FROM read_text('/etc/passwd'))",
        "read_text('/etc/passwd')",
        "getenv('HOME')",
        "1) FROM read_csv('/etc/passwd') --",
        "1), (2",
        "1; DROP TABLE file",
        "1); COPY (SELECT 1) TO '/tmp/owned' --",
        "now()",
        "current_timestamp",
        "current_date",
        "localtime",
        "uuid()",
        "random()",
        "current_setting('temp_directory')",
        "row_number() OVER ()",
        "(SELECT max(total) FROM file)",
        "*",
        "$parameter",
        "",
    ],
)
def test_an_expression_is_one_expression_over_its_row(sql: str) -> None:
    assert expression_problems(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "total * 2",
        "CASE WHEN a = 'x;--' THEN 1 END",
        "list_transform(a, x -> x + 1)",
        "a -- why",
        "uuid || query || today",
    ],
)
def test_plain_expressions_are_let_through(sql: str) -> None:
    assert expression_problems(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM file, (SELECT * FROM read_text('/etc/passwd'))",
        "WITH x AS (SELECT * FROM glob('/*')) SELECT * FROM x",
        "SELECT * FROM file WHERE EXISTS (FROM duckdb_settings())",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM other",
        "SELECT * FROM file; SELECT 1",
        "COPY file TO '/tmp/owned'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "SELECT query_table('file')",
        "SELECT * FROM query('SELECT 1')",
    ],
)
def test_a_query_reads_its_own_tables_and_nothing_else(sql: str) -> None:
    assert query_problems(sql, tables=frozenset({"file"}))


def test_a_mapping_that_reads_another_file_is_refused_before_anything_runs(world: World) -> None:
    secret = world.file("secret.csv", "x\n1\n")
    mapping = f"query: SELECT * FROM read_csv('{secret}')\n" + ORDERS
    with pytest.raises(InvalidFile, match="calls 'read_csv'"):
        world.run(world.file("orders.csv", CSV), mapping=mapping)


def test_behind_the_parser_duckdb_itself_keeps_other_files_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import features.importing.mapping_file as mapping_file

    monkeypatch.setattr(mapping_file, "query_problems", lambda sql, tables: [])
    secret = world.file("secret.csv", "customer,at,order,total\nx,2024-01-01,1,5\n")
    mapping = f"query: SELECT * FROM read_csv('{secret}')\n" + ORDERS
    with pytest.raises(InvalidFile, match="Permission Error"):
        world.run(world.file("orders.csv", CSV), mapping=mapping)


def test_an_expression_that_fails_on_a_row_says_so_and_leaves_the_lake_alone(world: World) -> None:
    mapping = ORDERS.replace("total: total", "total: {sql: CAST(total AS INTEGER)}")
    with pytest.raises(CallersMistake, match="TRY_CAST"):
        world.run(world.file("orders.csv", CSV + "bo,2024-01-01,2,many\n"), mapping=mapping)
    assert world.lake.n_events() == 0
    assert not (world.lake.root / "staging").exists()


SCRIPT = """
import sys
from pathlib import Path
from tests.features.import_world import World
print("ready", flush=True)
World(Path(sys.argv[1])).run(Path(sys.argv[2]))
print("done", flush=True)
"""


def test_an_import_killed_at_any_moment_has_not_happened_and_a_repeat_completes_it(world: World) -> None:
    export = world.folder / "many.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'c' || (n % 997) AS customer, TIMESTAMP '2023-01-01' + INTERVAL (n * 30) MINUTE AS at, "
            f"n AS \"order\", 1 AS total FROM range(8000) AS t(n)) TO '{export}' (FORMAT parquet)"
        )
    world.run(world.file("before.csv", CSV.replace(",1,5", ",before,5")))
    n_killed = 0
    for seconds in (0.02, 0.2, 0.4, 0.8):  # the first is before any import can end, the others wherever it then is
        command = [sys.executable, "-c", SCRIPT, str(world.folder), str(export)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            n_killed += process.stdout.read() != "done\n"
        assert {result.status for result in lake_checks(world.workspace)} <= {"PASS", "WARN"}
        assert world.lake.n_events() in (1, 8_001)
    assert n_killed > 0
    world.run(export)
    assert world.lake.n_events() == 8_001
    assert {result.status for result in lake_checks(world.workspace)} == {"PASS"}
    assert world.run(export).n_new == 0


def test_a_lake_that_lost_a_file_fails_its_check(world: World) -> None:
    world.run(world.file("orders.csv", CSV))
    (world.lake.root / world.lake.manifest().files[0].path).unlink()
    failed = [result for result in lake_checks(world.workspace) if result.status == "FAIL"]
    assert [result.name for result in failed] == ["every live file of the lake is there, as it was written"]
    assert "1 missing" in failed[0].detail


def test_a_lake_whose_customers_have_no_ids_fails_its_check(world: World) -> None:
    world.run(world.file("orders.csv", CSV))
    world.workspace.database.unlink()
    failed = [result for result in lake_checks(world.workspace) if result.status == "FAIL"]
    assert [result.name for result in failed] == ["every customer of the lake has an id"]


def test_quarantined_rows_are_a_warning_with_counts(world: World) -> None:
    world.run(world.file("orders.csv", CSV + ",2024-01-01,2,5\n"))
    warned = [result for result in lake_checks(world.workspace) if result.status == "WARN"]
    assert [(result.name, result.detail) for result in warned] == [("no row is in quarantine", "no_customer 1")]


def test_an_empty_lake_passes_and_says_what_to_do(world: World) -> None:
    results = lake_checks(world.workspace)
    assert {result.status for result in results} == {"PASS"}
    assert "rapport import" in results[0].meaning
