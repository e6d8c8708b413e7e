"""A brand and an import small enough to see through, for the tests of importing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from features.brand import Brand, load_brand
from features.importing.mapping_file import load_mapping
from features.importing.report import ImportReport
from features.importing.run import Import, run_import
from features.lake import Lake
from features.workspace import Workspace

BRAND = """
name: Tiny
time_zone: UTC
currency: EUR
default_locale: en
locales: {en: {name: English}}
traits:
  skin_need: {kind: need, type: choice, choices: [dryness, acne]}
  interests: {kind: interest, type: choices, choices: [skincare, makeup]}
  income: {kind: fact, type: number}
  birthday: {kind: fact, type: date}
  note: {kind: fact, type: text}
goals: {order: {event: Order Completed, value: total}}
channels: {web: {kind: web, consent: session, body_limit: 1000}}
placements: {banner: {initiated_by: customer, channels: [web], baseline: hello, fallback: hello}}
"""
ORDERS = """
customer: customer
time: {column: at, zone: UTC}
events:
  - event: Order Completed
    key: order
    order_id: order
    total: total
"""
THREE_ORDERS = (
    "customer,at,order,total\nana,2024-01-01 10:00:00,1,10\nbo,2024-01-02 10:00:00,2,20\nana,2024-01-03 10:00:00,3,30\n"
)
LINES = """
types: {quantity: number, price: number}
customer: customer
time: {column: at, zone: UTC}
events:
  - event: Order Completed
    where: NOT starts_with("order", 'C')
    group_by: [order]
    order_id: order
    product: {product_id: sku, quantity: quantity, price: price}
  - event: Order Refunded
    where: starts_with("order", 'C')
    group_by: [order]
    order_id: order
    product: {product_id: sku, quantity: quantity, price: price}
"""


@dataclass(frozen=True)
class World:
    """One workspace with its files beside it."""

    folder: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "shop")

    @property
    def brand(self) -> Brand:
        return load_brand(self.workspace)

    @property
    def lake(self) -> Lake:
        return Lake(self.workspace.lake)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(
        self,
        *files: Path | str,
        mapping: str = ORDERS,
        now: datetime | None = None,
        tables: dict[str, Path] | None = None,
    ) -> ImportReport:
        mapped = load_mapping(self.file("mapping.yaml", mapping), self.brand)
        asked = Import(self.workspace, self.brand, mapped, tuple(files), tuple((tables or {}).items()))
        report = run_import(asked, now=now)
        assert report.adds_up
        return report

    def events(
        self, columns: str = "*", *, as_of: datetime | None = None, order: str = "event_id"
    ) -> list[tuple[object, ...]]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            self.lake.register(connection, as_of=as_of)
            return connection.execute(f"SELECT {columns} FROM events ORDER BY {order}").fetchall()

    def quarantine(self) -> list[tuple[object, ...]]:
        with duckdb.connect() as connection:
            files = str(self.lake.root / "quarantine" / "*.parquet")
            return connection.execute(
                f"SELECT reason, row_number, original FROM '{files}' ORDER BY row_number, reason"
            ).fetchall()


def a_world(folder: Path) -> World:
    world = World(folder)
    world.file("shop/brand.yaml", BRAND)
    return world
