"""Real exports of real shops, by the mappings in docs/mappings, and the commands that import them."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from features.command_line import app
from features.importing.mapping import Mapping
from features.importing.suggest import suggest_mapping
from tests.features.import_world import BRAND, ORDERS, World, a_world

DOCS = Path(__file__).resolve().parents[2] / "docs"
MAPPINGS = DOCS / "mappings"


def a_shop(folder: Path, *, currency: str, traits: str = "") -> World:
    world = World(folder)
    world.file("shop/brand.yaml", BRAND.replace("EUR", currency).replace("goals:", f"{traits}goals:"))
    return world


def columns(world: World, query: str) -> list[tuple[object, ...]]:
    return world.events(query, order="ALL")


def test_both_online_retail_files_give_the_orders_and_customers_of_the_cleaning_rule(
    shared_data: Path, tmp_path: Path
) -> None:
    world = a_shop(tmp_path, currency="GBP")
    data = shared_data / "online_retail"
    first = world.run(
        data / "online_retail_II_2009_2010.parquet", mapping=(MAPPINGS / "online_retail_ii_2009.yaml").read_text()
    )
    second = world.run(data / "online_retail.parquet", mapping=(MAPPINGS / "online_retail.yaml").read_text())
    orders = "count(*) FILTER (WHERE event = 'Order Completed')"
    customers = "count(DISTINCT customer_key) FILTER (WHERE event = 'Order Completed')"
    assert columns(world, f"{orders}, {customers}") == [(36_969, 5_878)]
    assert columns(world, "bool_and(total > 0) FILTER (WHERE event = 'Order Refunded')") == [(True,)]
    assert columns(world, "sum(len(products)) FILTER (WHERE event = 'Order Completed')") == [(791_044,)]
    assert first.n_read + second.n_read == 525_461 + 541_909
    assert first.quarantined == {"no_customer": 96_724}
    assert second.quarantined == {"no_customer": 132_603}


def test_a_draft_for_online_retail_imports_as_it_is(shared_data: Path, tmp_path: Path) -> None:
    world = a_shop(tmp_path, currency="GBP")
    export = tmp_path / "online_retail.parquet"
    with duckdb.connect() as connection:
        whole = shared_data / "online_retail" / "online_retail.parquet"
        connection.execute(f"COPY (SELECT * FROM '{whole}' LIMIT 20000) TO '{export}' (FORMAT parquet)")
        n_orders, n_refunds = connection.execute(
            "SELECT count(DISTINCT InvoiceNo) "
            "FILTER (WHERE InvoiceNo NOT LIKE 'C%' AND Quantity > 0 AND UnitPrice > 0), "
            "count(DISTINCT InvoiceNo) FILTER (WHERE InvoiceNo LIKE 'C%') "
            f"FROM '{export}' WHERE CustomerID IS NOT NULL"
        ).fetchall()[0]
    report = world.run(export, mapping=suggest_mapping([str(export)], world.brand))
    assert report.events == {"Order Completed": n_orders, "Order Refunded": n_refunds}


def test_starbucks_profiles_are_declared_and_waves_hold_everyone(shared_data: Path, tmp_path: Path) -> None:
    traits = "  gender: {kind: fact, type: choice, choices: [female, male, other]}\n  age: {kind: fact, type: number}\n"
    world = a_shop(tmp_path, currency="USD", traits=traits)
    data = shared_data / "starbucks"
    world.run(data / "profile.json", mapping=(MAPPINGS / "starbucks_profile.yaml").read_text())
    report = world.run(data / "transcript.parquet", mapping=(MAPPINGS / "starbucks_transcript.yaml").read_text())
    assert report.events == {
        "Order Completed": 138_953, "Message Sent": 6 * 17_000, "Message Opened": 57_725, "Outcome Measured": 33_579,
    }  # fmt: skip
    assert columns(
        world, "count(*) FILTER (WHERE trait = 'age'), max(TRY_CAST(answer AS DOUBLE)) FILTER (WHERE trait = 'age')"
    ) == [(14_825, 101.0)]
    offers = "count(*) FILTER (WHERE event = 'Message Sent' AND action_id <> 'nothing')"
    wave = "count(DISTINCT action_id) FILTER (WHERE campaign = 'wave_0' AND event = 'Message Sent')"
    probability = "list_sort(list(DISTINCT action_probability) FILTER (WHERE event = 'Message Sent'))"
    assert columns(world, f"{offers}, {wave}, {probability}") == [(76_277, 11, [0.075, 0.25])]


def test_a_campaign_table_of_one_row_a_customer_becomes_arms_and_outcomes(tmp_path: Path) -> None:
    mapping = (MAPPINGS / "campaign_table.yaml").read_text()
    world = a_shop(tmp_path, currency="USD")
    rows = (
        "customer_id,income,treatment,visit,conversion,spend\n"
        "ana,52000,mens_email,1,1,29.99\nbo,,womens_email,1,0,0\ncy,31000,no_email,0,0,0\n"
    )
    world.run(world.file("campaign.csv", rows), mapping=mapping)
    by_event = columns(world, "event, count(*) OVER (PARTITION BY event)")
    assert dict(by_event) == {"Message Sent": 3, "Outcome Measured": 9, "Question Answered": 2}  # type: ignore[arg-type]
    arms = world.events("action_id, action_probability", order="customer_key, event")
    assert {row for row in arms if row[1] is not None} == {
        ("mens_email", 1 / 3), ("womens_email", 1 / 3), ("nothing", 1 / 3),
    }  # fmt: skip


def test_two_campaigns_of_one_customer_stay_two_and_traits_are_known_before_the_send(tmp_path: Path) -> None:
    world = a_shop(tmp_path, currency="USD")
    spring = (MAPPINGS / "campaign_table.yaml").read_text()
    autumn = spring.replace("spring_2024", "autumn_2024")
    for march, september in (("03-19", "09-19"), ("03-20", "09-20"), ("04-03", "10-03")):
        autumn = autumn.replace(f"2024-{march}", f"2024-{september}")
    rows = "customer_id,income,treatment,visit,conversion,spend\nana,52000,mens_email,1,1,29.99\n"
    for name, mapping in (("spring", spring), ("autumn", autumn)):
        report = world.run(world.file(f"{name}.csv", rows), mapping=mapping)
        assert (report.n_new, report.n_corrected, report.n_repeated) == (1 + 1 + 3, 0, 0)
    sent = "min(occurred_at) FILTER (WHERE event = 'Message Sent')"
    told = "min(occurred_at) FILTER (WHERE event = 'Question Answered')"
    assert world.events(f"{told} < {sent}", order="1") == [(True,)]
    outcomes = "count(DISTINCT campaign || outcome) FILTER (WHERE event = 'Outcome Measured')"
    assert world.events(outcomes, order="1") == [(2 * 3,)]


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mapping_of_the_docs_is_a_mapping(path: Path) -> None:
    Mapping.model_validate_json(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))))


def test_the_command_imports_and_prints_figures_that_add_up(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    orders = world.file("orders.csv", "customer,at,order,total\nana,2024-01-01,1,5\n,2024-01-02,2,5\n")
    mapping = world.file("orders.yaml", ORDERS)
    command = ["import", str(orders), "--mapping", str(mapping), "--workspace", str(world.workspace.root)]
    printed = CliRunner().invoke(app, command)
    assert printed.exit_code == 0, printed.output
    assert "quarantined: no_customer" in printed.output
    figures = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (figures["n_read"], figures["n_used"], figures["n_quarantined"], figures["n_new"]) == (2, 1, 1, 0)


def test_the_command_warns_of_an_event_name_that_is_almost_known(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    orders = world.file("orders.csv", "customer,at,order,total\nana,2024-01-01,1,10\n")
    for name, warned in (("Order Complete", True), ("Order Updated", False), ("Bottle Returned", False)):
        mapping = world.file("orders.yaml", ORDERS.replace("Order Completed", name))
        arguments = [
            "import",
            str(orders),
            "--mapping",
            str(mapping),
            "--workspace",
            str(world.workspace.root),
            "--json",
        ]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert ("Closest: 'Order Completed'" in result.stderr) is warned


def test_the_command_drafts_a_mapping_that_imports(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    rows = (
        "Order ID,Customer ID,Order Date,SKU,Qty,Unit Price\n"
        "0001,ana,13/01/2024 10:00,oil,2,3.5\n0001,ana,13/01/2024 10:00,soap,1,1\n"
    )
    orders = world.file("orders.csv", rows)
    draft = tmp_path / "draft.yaml"
    command = ["mapping", "suggest", str(orders), "--out", str(draft), "--workspace", str(world.workspace.root)]
    assert CliRunner().invoke(app, command).exit_code == 0
    world.run(orders, mapping=draft.read_text(encoding="utf-8"))
    assert world.events("order_id, total") == [("0001", 2 * 3.5 + 1.0)]
