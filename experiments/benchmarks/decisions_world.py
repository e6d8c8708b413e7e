"""The world that the decision benchmark asks about: customers with a year of events, models of the real size."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pandas as pd
import yaml

from experiments.benchmarks.features import generate
from experiments.benchmarks.features_by_hand import END
from features.brand import load_brand
from features.database import connect
from features.derive import DAY_US
from features.history import open_workspace
from features.identity import IdentityTable
from features.online import materialize
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace
from serving.engine import Engine
from serving.schemas import DecisionRequest
from training.artifact import MODEL_FILE, read_champions, sha256_of, write_artifact, write_champions

if TYPE_CHECKING:
    from feast import FeatureStore

NAIVE_VARIABLE = "NAIVE_FOLDER"  # tells the naive services where theirs is
TOPICS = ("behaviour", "recent", "declared")
SEGMENTS = {"rounds": 60, "num_leaves": 8}
PURCHASE = {"rounds": 150, "num_leaves": 4}
HORIZONS_DAYS = (7, 30, 90)  # a model of next purchase each
SEED = 7
MOST_LESSONS = 100_000  # what the models say does not matter here, and how large they are does not depend on it
SEGMENT, BOUGHT = "_segment", "_bought"  # the labels among the lessons of the naive models


def make_world(
    folder: Path,
    *,
    n_customers: int,
    n_actions: int = 50,
    n_decisions: int = 0,
    events_each: int = 40,
    naive_too: bool = True,
) -> tuple[Workspace, Path]:
    """A workspace with features and models of ours, and beside it a folder with the same for the naive pipeline.

    Args:
        folder: both are made in it.
        n_customers: c-1 to c-n.
        n_actions: of the catalogue, each with a rule, a cap and a budget.
        n_decisions: that the ledger holds already, spread evenly over the customers and the last year.
        events_each: of a customer, on average.
        naive_too: whether the naive pipeline is wanted: its way into the online store is slow.
    """
    workspace, naive = Workspace(folder / "shop"), folder / "naive"
    fill_workspace(workspace, n_events=events_each * n_customers, n_customers=n_customers)
    add_rules(workspace, n_actions=n_actions)
    add_past(workspace, n_customers=n_customers, n_decisions=n_decisions)
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    frame = open_workspace(workspace.root).snapshot_frame(END)
    X = frame[list(schema.model_inputs)].to_numpy(np.float64)[:MOST_LESSONS]
    rng = np.random.default_rng(SEED)
    segment = (pd.Series(X[:, 0]).rank(pct=True).to_numpy() * 5.99).astype(int)
    segment = np.where(rng.uniform(size=len(X)) < 0.2, rng.integers(0, 6, len(X)), segment)
    bought = (rng.uniform(size=len(X)) < 0.1 + 0.1 * segment).astype(int)
    _ours(workspace, schema, X, segment, bought)
    refuse_fallbacks(workspace, n_customers=n_customers)
    if naive_too:
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


RULES = {
    "quiet_hours": [{"start": "03:00", "until": "03:30"}],
    "frequency_caps": {
        "weekly": {"at_most": 1_000, "rolling_days": 7, "counts": "exposure", "governs": "everyone"},
        "discounts": {"at_most": 1_000, "calendar": "day", "tags": ["discount"], "governs": "everyone"},
        "clicks": {"at_most": 1_000, "rolling_days": 30, "counts": "click", "governs": "everyone"},
    },
    "budgets": {"messages": {"units": 10**9, "every": "day"}, "discounts": {"amount": 1e12, "tags": ["discount"]}},
}
_WHENS = (
    "!is_known || n_orders >= 0.0",
    "!has_skin_need || skin_need in ['dryness', 'acne', 'dullness', 'sensitivity']",
)


def add_rules(workspace: Workspace, *, n_actions: int) -> None:
    """A contact policy of every kind of rule, wide enough to let everything through, and so many actions under it."""
    brand = yaml.safe_load(workspace.brand_file.read_text(encoding="utf-8"))
    # In the order of the file: that of the traits is part of the features, whose rows are written already.
    text = yaml.safe_dump(brand | {"contact_policy": RULES}, allow_unicode=True, sort_keys=False)
    workspace.brand_file.write_text(text, encoding="utf-8")
    catalogue = yaml.safe_load(workspace.catalogue_file.read_text(encoding="utf-8"))
    models, actions = catalogue["actions"], []
    for n in range(n_actions):
        model, copy = models[n % len(models)], n // len(models)
        action = dict(model) if copy == 0 else dict(model) | {"id": f"{model['id']}_{copy}", "when": _WHENS[n % 2]}
        is_answer = copy == 0 and model["id"] in ("bestsellers", "chat_help")
        limits = {"caps": [{"at_most": 500, "rolling_days": 30, "governs": "everyone"}], "budget": {"units": 10**9}}
        actions.append(action if is_answer else action | limits)
    workspace.catalogue_file.write_text(yaml.safe_dump({"actions": actions}, allow_unicode=True), encoding="utf-8")


def add_past(workspace: Workspace, *, n_customers: int, n_decisions: int) -> None:
    """Decisions of the last year, each a copy of a real one but for its id, its customer and its instant."""
    if n_decisions == 0:
        return
    with Engine(workspace) as engine:
        asked = [DecisionRequest(customer_id=f"c-{n}", placement="chat_reply", channel="web") for n in range(1, 100)]
        told = next(told for told in map(engine.decide, asked) if not told["holdout"])
        now_us = int(engine.now().timestamp() * 1e6)
    instant = f"{now_us} - (n * 2654435761) % {365 * DAY_US}"
    # In the order of their ids, before those that come: written one after the other, as if they had come so.
    changed = {"decision_id": "printf('00past-%010d', n)", "customer_key": f"1 + n % {n_customers}"}
    changed |= dict.fromkeys(("decided_at", "exposed_at", "latest_at"), instant)
    with _bulk(workspace.database, tables=("decisions", "contacts")) as connection:
        for table in ("decisions", "contacts"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, f"one.{name}") for name in columns)
            connection.execute(
                f"CREATE TEMP TABLE one AS SELECT * FROM {table} WHERE decision_id = ?", (told["decision_id"],)
            )
            connection.execute(
                f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {n_decisions}) "
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM numbers CROSS JOIN one"
            )
            connection.execute("DROP TABLE one")


@contextmanager
def _bulk(database: Path, *, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """A connection that writes a million rows in a minute: no journal, and their indexes made afterwards.

    Nothing of this may be lost but the world itself, which is made anew.
    """
    query = (
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {tuple(tables)}"
    )
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for setting in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
            connection.execute(f"PRAGMA {setting}")
        indexes = connection.execute(query).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        for _, statement in indexes:
            connection.execute(statement)
    connect(database).close()  # with its journal again


def refuse_fallbacks(workspace: Workspace, *, n_customers: int, n: int = 20) -> None:
    """A world whose customers are decided on without their features or without models measures something else.

    Raises:
        RuntimeError: nearly all decisions about customers of the world rest on both; too many here do not.
    """
    with Engine(workspace) as engine:
        asked = [
            DecisionRequest(
                customer_id=f"c-{1 + number % n_customers}", placement="chat_reply", channel="web", dry_run=True
            )
            for number in range(n)
        ]
        reasons = [told["fallback_reason"] for told in map(engine.decide, asked)]
    if sum(reason is None for reason in reasons) < n / 2:
        raise RuntimeError(f"The benchmark's customers are decided on without what is measured: {set(reasons)}.")


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
    for days in HORIZONS_DAYS:
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
    lessons = naive_features(folder)[: len(segment)]
    lessons.assign(**{SEGMENT: segment, BOUGHT: bought}).to_parquet(folder / "lessons.parquet")


def naive_features(folder: Path) -> pd.DataFrame:
    """Every customer's features, as the naive pipeline reads them, a row each."""
    names = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
    table = pd.read_parquet(folder / "features.parquet")
    return table[[name for topic in TOPICS for name in names[topic]]].astype(float)


def naive_models(folder: Path) -> tuple[lightgbm.LGBMClassifier, list[lightgbm.LGBMClassifier]]:
    """The scikit-learn models: of segments, and of next purchase one a horizon, as ours has.

    They are fitted where they are used: nothing pickled is loaded, not even here.
    """
    lessons = pd.read_parquet(folder / "lessons.parquet")
    frame = lessons.drop(columns=[SEGMENT, BOUGHT])
    segments = lightgbm.LGBMClassifier(
        n_estimators=SEGMENTS["rounds"], num_leaves=SEGMENTS["num_leaves"], verbose=-1, n_jobs=1
    )
    buys = [
        lightgbm.LGBMClassifier(
            n_estimators=PURCHASE["rounds"], num_leaves=PURCHASE["num_leaves"], verbose=-1, n_jobs=1
        ).fit(frame, lessons[BOUGHT])
        for _ in HORIZONS_DAYS
    ]
    return segments.fit(frame, lessons[SEGMENT]), buys


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
