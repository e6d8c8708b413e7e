"""A map that fits no row is said, with what stands there; one that fits is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.command_line import app
from tests.features.import_world import ORDERS, World, a_world

SKIN = """
customer: customer
time: {column: at, zone: UTC}
events:
  - event: identify
    traits: {skin_need: {column: skin, missing: ["?"], map: {Dry: dryness, Pimples: acne}}}
"""
ROWS = "customer,at,skin\nann,2026-01-01,%s\nbob,2026-01-01,%s\neve,2026-01-02,%s\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


def test_a_map_that_fits_no_row_is_told_with_what_the_column_has_most_often(world: World) -> None:
    told = world.run(world.file("skin.csv", ROWS % ("dry", "pimply", "dry")), mapping=SKIN)
    assert told.warnings == (
        "events[0].traits.skin_need: the map of 'skin' fits no row: it knows 'Dry', 'Pimples'; the column has most "
        "often 'dry' (2), 'pimply' (1).",
    )
    assert told.as_dict()["warnings"] == told.warnings


@pytest.mark.parametrize("values", [("Dry", "else", "else"), ("?", "?", ""), ("", "", "")])
def test_a_map_that_fits_a_row_or_has_nothing_to_fit_is_not(world: World, values: tuple[str, ...]) -> None:
    assert world.run(world.file("skin.csv", ROWS % values), mapping=SKIN).warnings == ()


def test_a_number_that_stands_for_nothing_does_however_it_is_written(world: World) -> None:
    mapping = SKIN.replace('missing: ["?"]', "missing: [0]")
    assert world.run(world.file("skin.csv", ROWS % ("0.0", "0", "")), mapping=mapping).warnings == ()


def test_a_map_of_the_events_names_is_looked_at_too(world: World) -> None:
    mapping = ORDERS.replace("event: Order Completed", "event: {column: what, map: {SALE: Order Completed}}")
    rows = world.file("orders.csv", "customer,at,order,total,what\nann,2026-01-01,o-1,5,sale\n")
    (warning,) = world.run(rows, mapping=mapping).warnings
    assert warning.startswith("events[0].event: the map of 'what' fits no row")


def test_the_command_says_it_beside_its_figures(world: World) -> None:
    rows, mapping = world.file("skin.csv", ROWS % ("dry", "dry", "dry")), world.file("mapping.yaml", SKIN)
    done = CliRunner().invoke(
        app, ["import", str(rows), "--mapping", str(mapping), "--workspace", str(world.workspace.root)]
    )
    assert done.exit_code == 0, done.output
    assert "Warning:" in done.stderr
    assert "the column has most often 'dry' (3)" in done.stderr
