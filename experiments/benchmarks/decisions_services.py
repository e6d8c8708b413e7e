"""What Rapport is measured beside: BentoML services that do nothing, and the pipeline that a user would write."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import bentoml
import pandas as pd
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from experiments.benchmarks.decisions_world import TOPICS, naive_models, naive_store

FOLDER = "NAIVE_FOLDER"
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


@bentoml.service(name="naive", workers=2)
class Naive:
    """Feast SDK → DataFrame → LGBMClassifier.predict_proba → pick → one row in SQLite, committed."""

    def __init__(self) -> None:
        folder = Path(os.environ[FOLDER])
        self.store = naive_store(folder)
        self.names = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
        self.segments, self.buys = naive_models(folder)
        self.features = [f"{topic}:{name}" for topic in TOPICS for name in self.names[topic]]
        self.columns = [name for topic in TOPICS for name in self.names[topic]]
        ids = [f"a{n}" for n in range(N_ACTIONS)]
        self.actions = pd.DataFrame({"action_id": ids, "value": [float(n) for n in range(N_ACTIONS)]})
        self.database = folder / "decisions.db"
        with closing(self._connected()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS decisions (customer_key, action_id, segment, buys)")

    @bentoml.api  # type: ignore[untyped-decorator]
    def decide(self, customer_key: int) -> dict[str, object]:
        """The action of the highest value."""
        rows = [{"customer_key": customer_key}]
        frame = self.store.get_online_features(features=self.features, entity_rows=rows).to_df()
        X = frame[self.columns].astype(float)
        segment = int(self.segments.predict_proba(X)[0].argmax())
        buys = float(self.buys.predict_proba(X)[0, 1])
        scored = self.actions.assign(score=self.actions["value"] * (1 - buys) + segment)
        best = scored.sort_values("score").iloc[-1]
        written = (customer_key, str(best["action_id"]), segment, buys)
        with closing(self._connected()) as connection, connection:
            connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", written)
        return {"action_id": str(best["action_id"]), "segment": segment, "buys": buys}

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self.database, timeout=10)  # of the thread that this request runs in
