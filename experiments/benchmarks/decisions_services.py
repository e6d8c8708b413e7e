"""What Rapport is measured beside: BentoML services that do nothing, and the pipeline that a user would write."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import bentoml
import lightgbm
import pandas as pd
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from experiments.benchmarks.decisions_response import ACTIONS, REWARD, REWARDS
from experiments.benchmarks.decisions_world import NAIVE_VARIABLE, TOPICS, naive_models, naive_store

N_ACTIONS = 50


@bentoml.service(name="nothing", workers=2)
class Nothing:
    """An endpoint that does nothing, with BentoML's defaults."""

    @bentoml.api  # type: ignore[untyped-decorator]
    async def decide(self, customer_id: str) -> dict[str, str]:
        """Echoes."""
        return {"customer_id": customer_id}


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


@bentoml.service(
    name="nothing_tuned",
    workers=2,
    traffic={"timeout": 2},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(Starlette(routes=[Route("/decide", _echo, methods=["POST"])]), path="/")
class NothingTuned:
    """An endpoint that does nothing, with the settings that Rapport is served with."""


class _Pipeline:
    """Feast SDK → DataFrame → LGBMClassifier.predict_proba, and one row in SQLite, committed."""

    def __init__(self) -> None:
        folder = Path(os.environ[NAIVE_VARIABLE])
        self.store = naive_store(folder)
        self.names = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
        self.segments, self.buys = naive_models(folder)
        self.features = [f"{topic}:{name}" for topic in TOPICS for name in self.names[topic]]
        self.columns = [name for topic in TOPICS for name in self.names[topic]]
        self.database = folder / "decisions.db"
        with closing(self._connected()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS decisions (customer_key, action_id, segment, buys)")

    def customer(self, customer_key: int) -> tuple[pd.DataFrame, int, list[float]]:
        """One row of features, the segment, and how likely the customer is to buy within each horizon."""
        rows = [{"customer_key": customer_key}]
        frame = self.store.get_online_features(features=self.features, entity_rows=rows).to_df()
        X = frame[self.columns].astype(float)
        buys = [float(model.predict_proba(X)[0, 1]) for model in self.buys]
        return X, int(self.segments.predict_proba(X)[0].argmax()), buys

    def written(self, customer_key: int, action_id: str, segment: int, buys: list[float]) -> dict[str, object]:
        """The answer, once it is on disk."""
        with closing(self._connected()) as connection, connection:
            connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", (customer_key, action_id, segment, buys[0]))
        return {"action_id": action_id, "segment": segment, "buys": buys}

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database, timeout=10)  # of the thread that this request runs in


@bentoml.service(name="naive", workers=2)
class Naive:
    """The pipeline, and of a table of actions the one with the highest value."""

    def __init__(self) -> None:
        self.pipeline = _Pipeline()
        ids = [f"a{n}" for n in range(N_ACTIONS)]
        self.actions = pd.DataFrame({"action_id": ids, "value": [float(n) for n in range(N_ACTIONS)]})

    @bentoml.api  # type: ignore[untyped-decorator]
    def decide(self, customer_key: int) -> dict[str, object]:
        """The action of the highest value."""
        _, segment, buys = self.pipeline.customer(customer_key)
        scored = self.actions.assign(score=self.actions["value"] * (1 - buys[0]) + segment)
        best = scored.sort_values("score").iloc[-1]
        return self.pipeline.written(customer_key, str(best["action_id"]), segment, buys)


@bentoml.service(name="naive_response", workers=2)
class NaiveResponse:
    """The pipeline, and of all actions the one of the highest expected reward: one predict of a row an action."""

    def __init__(self) -> None:
        folder = Path(os.environ[NAIVE_VARIABLE])
        self.pipeline = _Pipeline()
        self.actions = pd.read_parquet(folder / ACTIONS)
        lessons = pd.read_parquet(folder / REWARDS)
        self.rewards = lightgbm.LGBMRegressor(
            n_estimators=100, num_leaves=12, min_child_samples=len(lessons) // 100, verbose=-1, n_jobs=1
        ).fit(lessons.drop(columns=REWARD), lessons[REWARD])

    @bentoml.api  # type: ignore[untyped-decorator]
    def decide(self, customer_key: int) -> dict[str, object]:
        """The action of the highest expected reward."""
        X, segment, buys = self.pipeline.customer(customer_key)
        asked = X.merge(self.actions, how="cross")
        asked["reward"] = self.rewards.predict(asked.drop(columns="action_id"))
        best = asked.sort_values("reward").iloc[-1]
        return self.pipeline.written(customer_key, str(best["action_id"]), segment, buys)
