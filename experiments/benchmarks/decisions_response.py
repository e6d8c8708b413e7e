"""A response model over every action of the benchmark's catalogue, and what asking it costs a decision."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.decisions_world import naive_features
from experiments.benchmarks.features_by_hand import END
from features.brand import load_brand
from features.catalogue import load_catalogue
from features.history import open_workspace
from features.schema import feature_schema
from features.workspace import Workspace
from serving.engine import Engine
from training.artifact import (
    MODEL_FILE,
    RESPONSE,
    features_of,
    read_champions,
    sha256_of,
    write_artifact,
    write_champions,
)
from training.response.actions import ActionFeatures
from training.response.fitting import fit_response
from training.response.rows import ResponseRows
from training.response.terms import action_columns, action_vector

SEED = 7
MOST_ROWS = 20_000
ACTIONS, REWARDS = "actions.parquet", "rewards.parquet"
REWARD = "_reward"  # among the lessons of the naive model


def promote_response(workspace: Workspace, naive: Path, *, learner: str = "trees_s") -> None:
    """Learns from a decision a customer, drawn evenly from every action, and serves it: the costliest learner.

    Args:
        workspace: of `decisions_world`.
        naive: the folder of the naive pipeline, which is left the same lessons.
        learner: one of `training.response.learners`; `trees_s` scores every action by a walk of its own.
    """
    brand = load_brand(workspace)
    schema, catalogue = feature_schema(brand, workspace), load_catalogue(workspace, brand)
    frame = open_workspace(workspace.root).snapshot_frame(END).head(MOST_ROWS)
    X = frame[list(schema.model_inputs)].to_numpy(np.float32)
    actions = (features_of(None), *(features_of(action) for action in catalogue.actions))
    rng = np.random.default_rng(SEED)
    n, action = len(X), rng.integers(0, len(actions), len(X))
    wants = np.nan_to_num(X[:, 0]) > np.nanmedian(X[:, 0])
    reward = np.where(rng.uniform(size=n) < 0.1 + 0.2 * (wants == (action % 2 == 0)), 100.0, 0.0)
    _leave_lessons(naive, actions, action, reward)
    rows = ResponseRows(
        X=X,
        action=action,
        reward=reward,
        propensity=np.full(n, 1.0 / len(actions)),
        cluster=np.arange(n, dtype=np.int64),
        at=np.full(n, np.datetime64(END.replace(tzinfo=None), "us")),
        actions=actions,
    )
    fitted = fit_response(rows, inputs=schema.model_inputs, categories=schema.categories, candidates=(learner,))
    described = fitted.describe() | {"as_of": END.isoformat(), "schema_version": schema.version}
    version = write_artifact(workspace.artifacts, described, fitted.boosters)
    sha256 = sha256_of((workspace.artifacts / RESPONSE / version / MODEL_FILE).read_bytes())
    champions = read_champions(workspace.artifacts)
    write_champions(workspace.artifacts, champions | {RESPONSE: {"version": version, "sha256": sha256}})


def _leave_lessons(naive: Path, actions: Sequence[ActionFeatures], action: np.ndarray, reward: np.ndarray) -> None:
    """The same customers, actions and rewards, as the naive pipeline's own features and a table of the catalogue."""
    columns = action_columns(actions)
    vectors = np.array([action_vector(one, columns) for one in actions])
    table = pd.DataFrame(vectors, columns=["_".join(column) for column in columns])
    table.insert(0, "action_id", [one.action_id for one in actions])
    table.to_parquet(naive / ACTIONS)
    told = naive_features(naive).head(len(action)).reset_index(drop=True)
    beside = table.drop(columns="action_id").iloc[action].reset_index(drop=True)
    pd.concat([told, beside], axis=1).assign(**{REWARD: reward}).to_parquet(naive / REWARDS)


def asked_of(workspace: Workspace, *, n: int = 400) -> tuple[int, float]:
    """How many actions a place has, and the CPU milliseconds in which a customer's rewards of all of them are known."""
    with Engine(workspace) as engine:
        model, place = engine.models.served.response, engine.shelf.place("chat_reply", "web")
        if model is None:
            raise RuntimeError("No response model is promoted.")
        row = np.full((1, len(engine.schema.model_inputs)), np.nan, dtype=np.float32)
        took = []
        for _ in range(n):
            started = time.thread_time()
            model.rewards(row, place.features)
            took.append((time.thread_time() - started) * 1e3)
    return len(place.features) - 1, statistics.median(took)
