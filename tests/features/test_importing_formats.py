"""Files as shops have them: formats, compressions, folders, encodings, and lines that are no rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from features.command_line import app
from features.faults import CallersMistake
from features.importing.suggest import suggest_mapping
from tests.features.import_world import ORDERS, World, a_world

ROWS = [
    {"customer": "ana", "at": "2024-01-01 10:00:00", "order": "1", "total": 10.0},
    {"customer": "bo", "at": "2024-01-02 10:00:00", "order": "2", "total": 20.5},
]
CSV = "customer,at,order,total\n" + "".join(",".join(str(value) for value in row.values()) + "\n" for row in ROWS)
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


def as_parquet(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "o.csv",
        "o.csv.gz",
        "o.csv.zst",
        "o.jsonl",
        "o.jsonl.gz",
        "o.ndjson.zst",
        "o.json",
        "o.json.gz",
        "o.json.zst",
        "o.tsv",
        "o.parquet",
    ],
)
def test_every_format_gives_the_same_events(world: World, name: str) -> None:
    content = JSON_LINES if "json" in name else CSV.replace(",", "\t") if "tsv" in name else CSV
    if ".json" in name and ".jsonl" not in name:
        content = json.dumps(ROWS)
    path = world.folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(content.encode()))
    elif name.endswith(".zst"):
        path.write_bytes(pa.compress(content.encode(), codec="zstd", asbytes=True))
    elif name.endswith(".parquet"):
        as_parquet(path, ROWS)
    else:
        path.write_text(content, encoding="utf-8")
    assert world.run(path).n_new == 2
    assert world.events("order_id, total") == [("1", 10.0), ("2", 20.5)]


def test_a_folder_of_partitioned_parquet_is_one_export_with_its_partition_columns(world: World) -> None:
    for day, row in zip(("2024-01-01", "2024-01-02"), ROWS, strict=True):
        as_parquet(world.folder / f"export/day={day}/part-0.parquet", [row])
    (world.folder / "export/_SUCCESS").write_text("")
    report = world.run(world.folder / "export", mapping=ORDERS + "    campaign: day\n")
    assert report.n_read == 2
    assert world.events("campaign") == [("2024-01-01",), ("2024-01-02",)]


def test_true_duplicates_in_parts_of_one_folder_are_kept_and_in_two_exports_are_one(world: World) -> None:
    mapping = ORDERS.replace("    key: order\n", "")
    parts = [as_parquet(world.folder / f"export/{n}.parquet", [ROWS[0]]) for n in range(2)]
    assert world.run(*parts, mapping=mapping).n_new == 1
    report = world.run(world.folder / "export", mapping=mapping)
    assert (report.n_new, report.n_unchanged) == (1, 1)


def test_a_glob_takes_each_file_and_columns_may_differ(world: World) -> None:
    world.file("in/a.csv", CSV)
    world.file("in/b.csv", "order,customer,at,total,extra\n3,cy,2024-01-03,5,x\n")
    report = world.run(str(world.folder / "in" / "*.csv"))
    assert report.n_read == 3
    assert len(world.events()) == 3


def test_a_name_with_a_globs_characters_means_itself(world: World) -> None:
    assert world.run(world.file("orders[1]*.csv", CSV)).n_new == 2


def test_a_folder_with_a_globs_characters_keeps_its_parts(world: World) -> None:
    for n, row in enumerate(ROWS):
        as_parquet(world.folder / f"export [may] *?/part-{n}.parquet", [row])
    report = world.run(world.folder / "export [may] *?")
    assert (report.n_read, report.n_used, report.n_new) == (2, 2, 2)


def test_columns_may_be_called_as_ours_might_be(world: World) -> None:
    names = ("_id", "_unit", "_file", "_row", "_bad", "_cel_0", "_result", "_hash", "_n")
    lines = "".join(json.dumps(row | dict.fromkeys(names, "their")) + "\n" for row in ROWS)
    cel = "    campaign: {cel: \"_result + '/' + _id\"}\n"
    keyless = ORDERS.replace("    key: order\n", "")
    assert world.run(world.file("mongo.jsonl", lines), mapping=keyless + cel).n_new == 2
    assert world.events("campaign") == [("their/their",)] * 2
    part = as_parquet(world.folder / "mongo.parquet", [row | dict.fromkeys(names, "their") for row in ROWS])
    assert world.run(part, mapping=keyless + cel).n_used == 2


def test_quotes_byte_order_marks_and_other_languages_survive(world: World) -> None:
    rows = '\ufeffcustomer,at,order,total\n"Zoë ""Z"", ไทย",2024-01-01,"multi\nline",5\n'
    world.run(world.file("orders.csv", rows))
    assert world.events("order_id") == [("multi\nline",)]


def test_lines_that_are_not_utf8_are_refused_one_by_one_and_encoding_mends_them(world: World) -> None:
    file = world.file(
        "orders.csv", "customer,at,order,total\nJos\xe9,2024-01-01,1,5\nana,2024-01-01,2,5\n".encode("latin-1")
    )
    report = world.run(file)
    assert (report.n_used, report.quarantined) == (1, {"invalid_encoding": 1})
    assert world.run(file, mapping=ORDERS + "read: {encoding: latin-1}\n").n_new == 1


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "orders.jsonl", "orders.json"])
def test_a_file_as_windows_writes_it_is_read_when_the_mapping_says_so(world: World, name: str) -> None:
    rows = [{"customer": "Zoë", "at": "2024-01-01", "order": "“1” €", "total": 5}]
    text = json.dumps(rows[0], ensure_ascii=False)
    if ".csv" in name:
        text = "customer,at,order,total\nZoë,2024-01-01,“1” €,5\n"
    elif name.endswith(".json"):
        text = json.dumps(rows, ensure_ascii=False)
    content = text.encode("cp1252")
    file = world.file(name, gzip.compress(content) if name.endswith(".gz") else content)
    mapping = ORDERS + "    campaign: customer\nread: {encoding: windows-1252}\n"
    assert world.run(file, mapping=mapping).n_new == 1
    assert world.events("order_id, campaign") == [("“1” €", "Zoë")]


def test_a_byte_that_windows_does_not_know_is_its_lines_fault_alone(world: World) -> None:
    lines = b"customer,at,order,total\nana,2024-01-01,\x81,5\nbo,2024-01-01,2,5\n"
    report = world.run(world.file("orders.csv", lines), mapping=ORDERS + "read: {encoding: windows-1252}\n")
    assert (report.n_used, report.quarantined) == (1, {"invalid_encoding": 1})


def test_what_is_said_to_be_latin_1_and_is_of_windows_is_told_so(world: World) -> None:
    file = world.file("orders.csv", "customer,at,order,total\nana,2024-01-01,5 €,5\n".encode("cp1252"))
    with pytest.raises(CallersMistake, match=r"write windows-1252: say 'read: \{encoding: windows-1252\}'"):
        world.run(file, mapping=ORDERS + "read: {encoding: latin-1}\n")


def test_a_draft_for_a_file_of_windows_says_its_encoding_and_imports_it(world: World) -> None:
    file = world.file("orders.csv", "customer,order date,order id,total\nZoë,2024-01-01,1,5\n".encode("cp1252"))
    draft = suggest_mapping([str(file)], world.brand)
    assert "encoding: windows-1252" in draft
    assert "is not UTF-8" in draft
    assert world.run(file, mapping=draft).n_new == 1
    assert "encoding" not in suggest_mapping([str(world.file("plain.csv", CSV))], world.brand)


def test_an_import_of_which_nothing_becomes_an_event_fails_and_says_so(
    world: World,
) -> None:
    def imported(text: str, *more: str) -> Result:
        file, mapping = world.file("orders.csv", text), world.file("mapping.yaml", ORDERS)
        words = ["import", str(file), "--mapping", str(mapping), "--workspace", str(world.workspace.root), *more]
        return CliRunner().invoke(app, words)

    lost = "customer,at,order,total\nana,yesterday,1,5\nbo,2024-01-99,2,5\n"
    for more in ((), ("--json",)):
        refused = imported(lost, *more).exception
        assert isinstance(refused, CallersMistake)
        assert "nothing became an event: all 2 rows that the mapping takes are in quarantine (unparsable_time)" in str(
            refused
        )
    assert imported(lost + "cy,2024-01-01,3,5\n").exit_code == 0


def test_json_lines_that_are_no_objects_are_refused_and_blank_ones_are_nothing(world: World) -> None:
    report = world.run(world.file("orders.jsonl", JSON_LINES + "\n[1, 2]\n{broken\n"))
    assert report.n_read == 4
    assert report.quarantined == {"malformed_json": 2}
    assert sorted(str(row[2]) for row in world.quarantine()) == ["[1, 2]", "{broken"]


def test_a_part_without_lines_is_passed_over_and_a_folder_of_none_but_such_is_told(world: World) -> None:
    for name, content in (("0", ""), ("1", JSON_LINES), ("2", "\n"), ("3", "{broken\n")):
        world.file(f"export/part-{name}.jsonl", content)
    report = world.run(world.folder / "export")
    assert (report.n_read, report.n_new, report.quarantined) == (3, 2, {"malformed_json": 1})
    world.file("none/part-0.jsonl", "")
    with pytest.raises(CallersMistake, match="no JSON object"):
        world.run(world.folder / "none")


def test_nested_json_is_reached_by_sql_and_products_by_name(world: World) -> None:
    order = {
        "customer": {"id": "ana"}, "at": "2024-01-01T00:00:00Z", "order": "1",
        "items": [{"product_id": "oil", "quantity": 2, "price": 3.0, "colour": "red"}],
    }  # fmt: skip
    mapping = """
customer: {sql: "customer->>'$.id'"}
time: at
events:
  - {event: Order Completed, key: order, order_id: order, products: items}
"""
    world.run(world.file("orders.jsonl", json.dumps(order)), mapping=mapping)
    total, products = world.events("total, products")[0]
    assert total == 2 * 3.0
    assert products == [{"product_id": "oil", "name": None, "category": None, "quantity": 2.0, "price": 3.0}]


def test_lists_of_products_in_parquet_are_products(world: World) -> None:
    row = ROWS[0] | {"items": [{"product_id": "oil", "price": 3.0}]}
    mapping = ORDERS + "    products: items\n"
    world.run(as_parquet(world.folder / "o.parquet", [row]), mapping=mapping)
    assert world.events("products[1].product_id, products[1].price") == [("oil", 3.0)]


def test_customer_numbers_in_a_float_column_are_whole_numbers(world: World) -> None:
    rows = [row | {"customer": number} for row, number in zip(ROWS, (13085.0, None), strict=True)]
    report = world.run(as_parquet(world.folder / "o.parquet", rows))
    assert report.quarantined == {"no_customer": 1}
    import sqlite3

    with sqlite3.connect(world.workspace.database) as connection:
        assert connection.execute("SELECT customer_id FROM identity").fetchall() == [("13085",)]
    connection.close()


def test_semicolons_and_no_header_are_said_in_the_mapping(world: World) -> None:
    mapping = ORDERS + 'read: {delimiter: ";", header: false, columns: [customer, at, order, total]}\n'
    world.run(world.file("orders.txt", "ana;2024-01-01;1;5\n"), mapping=mapping)
    assert world.events("total") == [(5.0,)]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("orders.xlsx", b"PK", "its name does not say what it is"),
        ("orders.parquet", b"not parquet", "cannot be read"),
        ("orders.csv.gz", b"not gzip", "cannot be read"),
        ("orders.jsonl", b"[]", "no JSON object"),
    ],
)
def test_files_that_are_something_else_are_a_mistake_that_says_so(
    world: World, name: str, content: bytes, told: str
) -> None:
    with pytest.raises(CallersMistake, match=told):
        world.run(world.file(name, content))


def test_a_file_that_is_not_there_and_an_empty_folder_say_so(world: World) -> None:
    with pytest.raises(CallersMistake, match="no file is there"):
        world.run(world.folder / "nowhere.csv")
    (world.folder / "empty").mkdir()
    with pytest.raises(CallersMistake, match="no data file is in it"):
        world.run(world.folder / "empty")


def test_a_header_alone_imports_nothing(world: World) -> None:
    report = world.run(world.file("orders.csv", "customer,at,order,total\n"))
    assert (report.n_read, report.n_new) == (0, 0)
    assert world.lake.n_events() == 0


def test_many_rows_are_imported_by_sql_and_not_one_by_one(world: World) -> None:
    path = world.folder / "many.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'c' || (n % 500) AS customer, TIMESTAMP '2024-01-01' + INTERVAL (n) SECOND AS at, "
            f"n AS \"order\", n % 100 AS total FROM range(100000) AS t(n)) TO '{path}' (FORMAT parquet)"
        )
    report = world.run(path)
    assert (report.n_new, report.n_customers) == (100_000, 500)
    assert world.events("sum(total)", order="1") == [(100_000 / 100 * sum(range(100)),)]


def test_an_empty_file_is_told_as_such_and_passed_over_beside_others(world: World) -> None:
    nothing = world.file("in/nothing.csv", "\n")
    with pytest.raises(CallersMistake, match=r"nothing\.csv', but it is empty: a line with the columns' names"):
        world.run(nothing)
    assert world.run(nothing, world.file("in/some.csv", CSV)).n_new == len(ROWS)


def test_a_utf_16_file_that_is_said_to_be_utf_8_is_told_by_its_encoding(world: World) -> None:
    wide = world.file("wide.csv", CSV.encode("utf-16"))
    with pytest.raises(CallersMistake, match=r"begins as UTF-16 does. Say 'read: \{encoding: utf-16\}'"):
        world.run(wide)
