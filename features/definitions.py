"""What Feast knows of a brand: declarations only, applied from code as one explicit list."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.brand import Brand
from features.feast_loading import load_feast
from features.locks import queued
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT = "rapport"
DECISION_VIEW = "decision_vector"
CELL = "row"
"""The one feature of the packed view: see features.packing."""
_INSTANT = "instant"
_TEXTS = ("text", "JSON")


def decision_service(schema: FeatureSchema) -> str:
    """The name of the feature service that serves one version of the schema."""
    return f"decision_{schema.version}"


def vectors_path(workspace: Workspace) -> Path:
    """The file that Feast wants a view to have. There is none: packed rows are written to the online store at once."""
    return workspace.lake / "vectors" / "decision_vector.parquet"


def feast_objects(brand: Brand, *, workspace: Workspace, schema: FeatureSchema | None = None) -> list[Any]:
    """Every Feast object of a brand: entity, readable views, the brand's own views, the packed view, its service."""
    load_feast()
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Bytes, Float32, String, UnixTimestamp

    schema = schema or feature_schema(brand, workspace)
    customer = Entity(name="customer", join_keys=["customer_key"], value_type=ValueType.INT64)

    def source(name: str, path: Path) -> FileSource:
        return FileSource(
            name=name,
            path=str(path),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )

    def view(name: str, fields: list[Field], path: Path, *, online: bool) -> FeatureView:
        return FeatureView(
            name=name,
            entities=[customer],
            ttl=timedelta(0),
            schema=fields,
            source=source(f"{name}_source", path),
            online=online,
        )

    def feast_type(unit: str) -> object:
        return UnixTimestamp if unit == _INSTANT else String if unit in _TEXTS else Float32

    snapshots = workspace.lake / "snapshots" / "*" / "snapshot.parquet"
    stored = [column for column in schema.columns if column.view != "derived"]
    readable = [
        view(
            name,
            [Field(name=column.name, dtype=feast_type(column.unit)) for column in stored if column.view == name],
            snapshots,
            online=False,
        )
        for name in dict.fromkeys(column.view for column in stored)
    ]
    packed = view(DECISION_VIEW, [Field(name=CELL, dtype=Bytes)], vectors_path(workspace), online=True)
    service = FeatureService(name=decision_service(schema), features=[packed])
    return [customer, *readable, packed, service]


def open_store(workspace: Workspace, brand: Brand, *, schema: FeatureSchema | None = None) -> FeatureStore:
    """Feast's store of a workspace, with exactly the brand's objects applied. One a process: it caches globally."""
    schema = schema or feature_schema(brand, workspace)
    _prepare(workspace)
    load_feast()
    from feast import FeatureStore, RepoConfig

    def store_of(registry: Path) -> FeatureStore:
        return FeatureStore(
            config=RepoConfig(
                project=PROJECT,
                provider="local",
                registry={"registry_type": "file", "path": str(registry), "cache_ttl_seconds": 0},
                online_store={"type": "sqlite", "path": str(online_path(workspace))},
                offline_store={"type": "duckdb"},
                entity_key_serialization_version=3,
            )
        )

    with queued(workspace.state / "feast.lock"):  # several workers start at once
        _apply(store_of, workspace=workspace, brand=brand, schema=schema)
        store = store_of(_registry(workspace))
        store.refresh_registry()
    return store


def online_path(workspace: Workspace) -> Path:
    """The SQLite file of the online store."""
    return workspace.state / "online.db"


def _prepare(workspace: Workspace) -> None:
    workspace.state.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(workspace.state / "metrics", ignore_errors=True)  # three files a process, as it once was
    os.environ.setdefault("FEAST_USAGE", "False")
    connection = sqlite3.connect(online_path(workspace))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _registry(workspace: Workspace) -> Path:
    return workspace.state / "feast_registry.pb"


def _apply(
    store_of: Callable[[Path], FeatureStore], *, workspace: Workspace, brand: Brand, schema: FeatureSchema
) -> None:
    """Writes the registry anew where it was made for another schema: whoever reads it finds the one or the other."""
    marker = workspace.state / "feast_applied"
    wanted = f"{schema.version} {CELL} {workspace.root}"
    registry = _registry(workspace)
    if registry.is_file() and marker.is_file() and marker.read_text("utf-8") == wanted:
        return
    made = registry.with_suffix(".new")
    made.unlink(missing_ok=True)  # of a process that was killed here
    with quiet():
        store_of(made).apply(feast_objects(brand, workspace=workspace, schema=schema))
    marker.unlink(missing_ok=True)
    made.replace(registry)
    marker.write_text(wanted, "utf-8")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Feast prints its progress; ours is told by the verbs."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
