"""The world that the decision benchmark asks about: customers with a year of events, models of the real size."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pandas as pd

from experiments.benchmarks.features import END, generate
from features.brand import load_brand
from features.database import connect
from features.history import open_workspace
from features.identity import IdentityTable
from features.online import materialize
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace
from training.artifact import MODEL_FILE, read_champions, sha256_of, write_artifact, write_champions

if TYPE_CHECKING:
    from feast import FeatureStore

TOPICS = ("behaviour", "recent", "declared")
SEGMENTS = {"rounds": 60, "num_leaves": 8}
PURCHASE = {"rounds": 150, "num_leaves": 4}
SEED = 7
SEGMENT, BOUGHT = "_segment", "_bought"  # the labels among the lessons of the naive models


def make_world(folder: Path, *, n_customers: int) -> tuple[Workspace, Path]:
    """A workspace with features and models of ours, and beside it a folder with the same for the naive pipeline."""
    workspace, naive = Workspace(folder / "shop"), folder / "naive"
    fill_workspace(workspace, n_events=40 * n_customers, n_customers=n_customers)
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    frame = open_workspace(workspace.root).snapshot_frame(END)
    X = frame[list(schema.model_inputs)].to_numpy(np.float64)
    rng = np.random.default_rng(SEED)
    segment = (pd.Series(X[:, 0]).rank(pct=True).to_numpy() * 5.99).astype(int)
    segment = np.where(rng.uniform(size=len(X)) < 0.2, rng.integers(0, 6, len(X)), segment)
    bought = (rng.uniform(size=len(X)) < 0.1 + 0.1 * segment).astype(int)
    _ours(workspace, schema, X, segment, bought)
    _naive(workspace, naive, schema, segment, bought)
    return workspace, naive


def fill_workspace(workspace: Workspace, *, n_events: int, n_customers: int) -> None:
    """A year of events of customers c-1 … c-n, and everybody's row in the online store; no models."""
    generate(workspace, n_events=n_events, n_customers=n_customers)
    text = workspace.brand_file.read_text(encoding="utf-8")
    workspace.brand_file.write_text(text.replace("features_days: 7 ", "features_days: 99999 "), encoding="utf-8")
    connection = connect(workspace.database)
    IdentityTable(connection).keys_for([f"c-{n}" for n in range(1, n_customers + 1)])
    connection.close()
    materialize(workspace, END)


def _ours(workspace: Workspace, schema: FeatureSchema, X: np.ndarray, segment: np.ndarray, bought: np.ndarray) -> None:
    common: dict[str, object] = {"as_of": END.isoformat(), "inputs": list(schema.model_inputs), "categories": {}}
    common |= {"schema_version": schema.version}
    booster = lightgbm.train(
        {"objective": "multiclass", "num_class": 6, "num_leaves": SEGMENTS["num_leaves"], "verbose": -1},
        lightgbm.Dataset(X, segment),
        SEGMENTS["rounds"],
    )
    segments = [{"id": f"s{i}", "names": {"en": f"Segment {i}"}, "descriptions": {"en": ""}} for i in range(6)]
    _promote(workspace, {"name": "segments", "segments": segments, "temperature": 1.0} | common, [booster])
    heads, boosters = [], []
    for days in (7, 30, 90):
        parameters = {"objective": "binary", "num_leaves": PURCHASE["num_leaves"], "verbose": -1}
        boosters.append(lightgbm.train(parameters, lightgbm.Dataset(X, bought), PURCHASE["rounds"]))
        calibration = {"kind": "platt", "x": [0.0, 1.0], "y": [0.0, 1.0], "extend": True}
        heads.append({"horizon_days": days, "calibration": calibration})
    _promote(workspace, {"name": "next_purchase", "heads": heads} | common, boosters)


def _promote(workspace: Workspace, description: dict[str, object], boosters: list[lightgbm.Booster]) -> None:
    name, artifacts = str(description["name"]), workspace.artifacts
    version = write_artifact(artifacts, description, [booster.model_to_string() for booster in boosters])
    sha256 = sha256_of((artifacts / name / version / MODEL_FILE).read_bytes())
    write_champions(artifacts, read_champions(artifacts) | {name: {"version": version, "sha256": sha256}})


def _naive(workspace: Workspace, folder: Path, schema: FeatureSchema, segment: np.ndarray, bought: np.ndarray) -> None:
    """The way of a tutorial: a Feast repository with a view a topic, and scikit-learn models."""
    folder.mkdir(parents=True)
    (snapshot,) = workspace.lake.glob("snapshots/*/snapshot.parquet")
    names = {
        topic: [column.name for column in schema.columns if column.view == topic and column.name in schema.numeric]
        for topic in TOPICS
    }
    (folder / "topics.json").write_text(json.dumps(names), encoding="utf-8")
    table = pd.read_parquet(snapshot)
    table.to_parquet(folder / "features.parquet")
    store = naive_store(folder)
    store.apply(naive_objects(folder, names))
    store.materialize(END - timedelta(days=1), END + timedelta(days=1))
    frame = table[[name for topic in TOPICS for name in names[topic]]].astype(float)
    frame.assign(**{SEGMENT: segment, BOUGHT: bought}).to_parquet(folder / "lessons.parquet")


def naive_models(folder: Path) -> tuple[lightgbm.LGBMClassifier, lightgbm.LGBMClassifier]:
    """The scikit-learn models, fitted where they are used: nothing pickled is loaded, not even here."""
    lessons = pd.read_parquet(folder / "lessons.parquet")
    frame = lessons.drop(columns=[SEGMENT, BOUGHT])
    segments = lightgbm.LGBMClassifier(
        n_estimators=SEGMENTS["rounds"], num_leaves=SEGMENTS["num_leaves"], verbose=-1, n_jobs=1
    )
    buys = lightgbm.LGBMClassifier(
        n_estimators=PURCHASE["rounds"], num_leaves=PURCHASE["num_leaves"], verbose=-1, n_jobs=1
    )
    return segments.fit(frame, lessons[SEGMENT]), buys.fit(frame, lessons[BOUGHT])


def naive_objects(folder: Path, names: dict[str, list[str]]) -> list[object]:
    """One view a topic over one file."""
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Float32

    customer = Entity(name="customer", join_keys=["customer_key"], value_type=ValueType.INT64)
    source = FileSource(name="features", path=str(folder / "features.parquet"), timestamp_field="event_timestamp")
    views = [
        FeatureView(
            name=topic,
            entities=[customer],
            schema=[Field(name=name, dtype=Float32) for name in names[topic]],
            source=source,
            ttl=timedelta(0),
        )
        for topic in TOPICS
    ]
    return [customer, *views, FeatureService(name="decision", features=views)]


def naive_store(folder: Path) -> FeatureStore:
    """Feast as its quickstart sets it up, but for the DuckDB offline store that loses no rows."""
    from feast import FeatureStore, RepoConfig

    return FeatureStore(
        config=RepoConfig(
            project="naive",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
        )
    )
