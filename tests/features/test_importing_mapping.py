"""What a mapping can say beside the rows: joins, queries, constants, times, and what is told of a faulty one."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.faults import CallersMistake, InvalidFile
from features.importing.mapping_file import load_mapping
from features.importing.suggest import suggest_mapping
from tests.features.import_world import LINES, ORDERS, THREE_ORDERS, World, a_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


def test_a_second_file_is_joined(world: World) -> None:
    mapping = LINES.replace("product: {product_id: sku,", "product: {product_id: sku, category: products_kind,")
    mapping += "tables: {products: {file: products.csv, on: {sku: id}}}\n"
    world.file("products.csv", "id,kind\noil,hair\nsoap,skin\n")
    rows = "customer,at,order,sku,quantity,price\nana,2024-01-01,7,oil,1,1\nana,2024-01-01,7,unheard of,1,1\n"
    world.run(world.file("lines.csv", rows), mapping=mapping)
    assert [p["category"] for p in world.events("products")[0][0]] == ["hair", None]  # type: ignore[attr-defined]


def test_a_joined_file_that_would_multiply_rows_is_refused(world: World) -> None:
    mapping = LINES + "tables: {products: {file: products.csv, on: {sku: id}}}\n"
    world.file("products.csv", "id,kind\noil,hair\noil,skin\n")
    rows = world.file("lines.csv", "customer,at,order,sku,quantity,price\nana,2024-01-01,7,oil,1,1\n")
    with pytest.raises(CallersMistake, match="2 rows for oil"):
        world.run(rows, mapping=mapping)


def test_a_query_makes_the_rows_that_a_file_leaves_unsaid(world: World) -> None:
    mapping = """
tables: {people: {file: people.csv}}
query: |
  SELECT who, 'mail' AS action FROM file
  UNION ALL SELECT id, 'nothing' FROM people WHERE id NOT IN (SELECT who FROM file)
customer: who
time: {value: "2024-01-01T00:00:00Z"}
events:
  - {event: Message Sent, key: who, action_id: action}
"""
    world.file("people.csv", "id\nana\nbo\ncy\n")
    report = world.run(world.file("sent.csv", "who\nbo\n"), mapping=mapping)
    assert (report.n_read, report.n_rows, report.n_used) == (1, 3, 3)
    assert sorted(str(row[0]) for row in world.events("action_id")) == ["mail", "nothing", "nothing"]


def test_constants_and_cel_and_properties(world: World) -> None:
    mapping = """
types: {total: number}
constants: {source: till}
customer: customer
time: {column: at, zone: UTC}
events:
  - event: Order Completed
    key: order
    total: total
    channel: source
    campaign: {cel: "total > 15.0 ? 'big' : 'small'"}
    properties: {shop: source, cents: {sql: "CAST(total * 100 AS BIGINT)"}}
"""
    world.run(world.file("orders.csv", THREE_ORDERS), mapping=mapping)
    assert world.events("campaign, channel, properties")[:2] == [
        ("small", "till", '{"shop":"till","cents":1000}'),
        ("big", "till", '{"shop":"till","cents":2000}'),
    ]


def test_another_currency_is_refused_by_row_and_by_mapping(world: World) -> None:
    rows = world.file("orders.csv", "customer,at,order,total,money\nana,2024-01-01,1,5,EUR\nbo,2024-01-01,2,5,XXX\n")
    assert world.run(rows, mapping=ORDERS + "currency: money\n").quarantined == {"unknown_currency": 1}
    with pytest.raises(InvalidFile, match="brand's currency, EUR"):
        world.run(rows, mapping=ORDERS + "currency: {value: USD}\n")


@pytest.mark.parametrize(
    ("spec", "written", "utc"),
    [
        ("{column: at, unit: seconds}", "1704103200", "2024-01-01 10:00:00"),
        ("{column: at, unit: milliseconds}", "1704103200500", "2024-01-01 10:00:00.500000"),
        ("{column: at, unit: hours, epoch: '2024-01-01T00:00:00+01:00'}", "11", "2024-01-01 10:00:00"),
        ("{column: at, zone: Asia/Kolkata}", "2024-01-01 10:00:00", "2024-01-01 04:30:00"),
        ("{column: at, zone: Asia/Kolkata}", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00"),
        ("{column: at, zone: UTC}", "2024-01-01T10:00:00+05:30", "2024-01-01 04:30:00"),
        ("{column: at, zone: UTC, format: '%d/%m/%Y %H:%M'}", "13/01/2024 10:00", "2024-01-13 10:00:00"),
        ("{column: at, zone: UTC, format: ['%d/%m/%Y', '%Y%m%d']}", "20240113", "2024-01-13 00:00:00"),
        ("{column: at, zone: UTC}", "2024-01-01", "2024-01-01 00:00:00"),
        # The clock in London goes from 02:00 back to 01:00 on 2023-10-29: of two half past ones the later is meant.
        ("{column: at, zone: Europe/London}", "2023-10-29 00:30:00", "2023-10-28 23:30:00"),
        ("{column: at, zone: Europe/London}", "2023-10-29 01:30:00", "2023-10-29 01:30:00"),
        # It goes from 01:00 forward to 02:00 on 2024-03-31: half past one is read by the offset before the gap.
        ("{column: at, zone: Europe/London}", "2024-03-31 01:30:00", "2024-03-31 01:30:00"),
        ("{column: at, zone: Europe/London}", "2024-03-31 02:30:00", "2024-03-31 01:30:00"),
    ],
)
def test_times_are_understood_and_become_utc(world: World, spec: str, written: str, utc: str) -> None:
    mapping = ORDERS.replace("{column: at, zone: UTC}", spec)
    world.run(world.file("orders.csv", f"customer,at,order,total\nana,{written},1,5\n"), mapping=mapping)
    assert str(world.events("occurred_at")[0][0]) == utc


def test_a_number_without_a_unit_is_no_time(world: World) -> None:
    mapping = ORDERS + "types: {at: integer}\n"
    with pytest.raises(InvalidFile, match="'at' is a number"):
        world.run(world.file("orders.csv", THREE_ORDERS.replace("2024-01-01 10:00:00", "5")), mapping=mapping)


def test_every_fault_of_a_mapping_is_told_at_once_with_its_line(world: World) -> None:
    mapping = """customer: customer
time: {column: at, zone: Europe/Londn}
where: count(*) OVER () > 1
colour: red
events:
  - event: identify
    traits: {incom: x, note: x}
  - event: Order Completed
    total: {sql: "1; DROP TABLE x", column: total}
"""
    with pytest.raises(InvalidFile) as raised:
        world.run(world.file("orders.csv", THREE_ORDERS), mapping=mapping)
    told = str(raised.value)
    assert "line 4: colour" in told
    mapping = mapping.replace("colour: red\n", "")
    with pytest.raises(InvalidFile) as raised:
        world.run(world.file("orders.csv", THREE_ORDERS), mapping=mapping)
    told = str(raised.value)
    for part in ("line 2: time.zone", "'Europe/London'", "window", "Closest: 'income'", "free text", "column and sql"):
        assert part in told


def test_a_mapping_that_is_not_there_says_how_one_is_drafted(world: World) -> None:
    with pytest.raises(
        CallersMistake, match=r"there is no such file or folder\. .rapport mapping suggest FILE --out .*no\.yaml"
    ):
        load_mapping(world.folder / "no.yaml", world.brand)


@pytest.mark.parametrize(
    ("columns", "customer"),
    [("email,customer_id", "customer_id"), ("Email,id", "id"), ("email,visitor_id", "visitor_id"), ("email", "email")],
)
def test_a_draft_takes_an_id_before_an_address(world: World, columns: str, customer: str) -> None:
    file = world.file("people.csv", f"{columns},income,created_at\n")
    assert f"\ncustomer: {customer}\n" in "\n" + suggest_mapping([str(file)], world.brand)


def test_columns_that_are_not_there_are_told_with_the_closest(world: World) -> None:
    mapping = ORDERS.replace("total: total", "total: totl").replace("customer: customer", "customer: custmer")
    with pytest.raises(InvalidFile) as raised:
        world.run(world.file("orders.csv", THREE_ORDERS), mapping=mapping)
    assert "Closest: 'total'" in str(raised.value)
    assert "Closest: 'customer'" in str(raised.value)


def test_text_used_as_a_number_says_what_to_do(world: World) -> None:
    mapping = ORDERS.replace("total: total", "total: {sql: total * 2}")
    with pytest.raises(InvalidFile, match="under 'types'"):
        world.run(world.file("orders.csv", THREE_ORDERS), mapping=mapping)
