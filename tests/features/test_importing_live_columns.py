"""Columns that live events brought, and joined customers, in imports."""

from __future__ import annotations

from pathlib import Path

import duckdb

from features.database import connect
from features.identity import IdentityTable
from tests.features.import_world import BRAND, World

CHATS = """
customer: customer
time: {column: at, zone: UTC}
events:
  - event: Chat Step
    key: id
    source: {column: came_from, missing: [direct]}
    conversation_id: chat
    step: step
"""
EXPORT = "customer,id,at,came_from,chat,step\nasha,1,2024-01-01,google / cpc,c1,1\nasha,2,2024-01-02,direct,c1,2\n"


def a_world(folder: Path) -> World:
    world = World(folder)
    world.file("shop/brand.yaml", BRAND)
    return world


def columns_of(world: World) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        world.lake.register_versions(connection, name="versions")
        return connection.execute(
            "SELECT event_id, source, conversation_id, step FROM versions WHERE superseded_at IS NULL ORDER BY event_id"
        ).fetchall()


def test_a_mapping_names_source_conversation_and_step(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    world.run(world.file("chats.csv", EXPORT), mapping=CHATS)
    assert columns_of(world) == [("Chat Step:1", "google / cpc", "c1", "1"), ("Chat Step:2", None, "c1", "2")]


def test_a_corrected_step_is_a_correction(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    world.run(world.file("chats.csv", EXPORT), mapping=CHATS)
    report = world.run(world.file("chats.csv", EXPORT.replace("c1,2", "c1,3")), mapping=CHATS)
    assert (report.n_corrected, report.n_unchanged) == (1, 1)
    assert columns_of(world)[1] == ("Chat Step:2", None, "c1", "3")


def test_the_same_import_after_customers_were_joined_changes_nothing(tmp_path: Path) -> None:
    world = a_world(tmp_path)
    export = world.file("chats.csv", EXPORT.replace("asha,2", "asha_again,2"))
    world.run(export, mapping=CHATS)
    database = connect(world.workspace.database)
    IdentityTable(database).alias(previous_id="asha_again", user_id="asha", at_us=1)
    database.close()
    report = world.run(export, mapping=CHATS)
    assert (report.n_unchanged, report.n_corrected, report.n_new) == (2, 0, 0)
