"""Gauges of how the models in use hold, for Prometheus: what the newest look at them found.

`rapport drift` and `rapport run` write what they find to the lake; here it is only told on, so that asking costs
nothing of a decision's time and every worker answers the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from features.workspace import Workspace

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
NOBODY_LOOKED = "# Nobody has looked at the models yet: 'rapport drift' does, and so does 'rapport run'.\n"
DAMAGED_LOOK = "# The file of the newest look at the models is damaged: 'rapport drift' looks again and mends it.\n"

_LOOKED_AT = "rapport_drift_looked_at_timestamp_seconds"
_AS_OF = "rapport_drift_as_of_timestamp_seconds"
_HELP = {
    _LOOKED_AT: "When the models were looked at.",
    _AS_OF: "What was known by then was compared.",
    "rapport_orders_stopped": "1 where no order has come for far longer than ever: see first whether any come in.",
    "rapport_retrain_suggested": "1 where a training is suggested; 0 where orders have stopped, which comes first.",
    "rapport_model_age_days": "Days from the training day to what was compared.",
    "rapport_drift_psi": "Population stability index of an input or score since the training day.",
    "rapport_drift_ks": "Widest gap of the cumulative shares of an input or score since the training day.",
    "rapport_drift_unknown_ratio": "Share of customers of whom an input is not known.",
    "rapport_drift_moved": "1 where it moved by enough, beyond chance and more than usual.",
    "rapport_calibration_said": "What the model in use said, at its newest day that can be judged.",
    "rapport_calibration_came": "What then came.",
}
Sample = tuple[str, dict[str, str], float]


def add_metric_routes(app: FastAPI) -> None:
    """Adds /metrics."""

    @app.get("/metrics", summary="How the models in use hold, as Prometheus reads it.")
    async def metrics(request: Request) -> Response:
        """Gauges of the newest look at the models; a comment before the first."""
        text = await asyncio.to_thread(metrics_text, request.app.state.engine.workspace)
        return Response(text, media_type=CONTENT_TYPE)


def metrics_text(workspace: Workspace) -> str:
    """What Prometheus reads; of a damaged file, that it is."""
    from experiments.report.models import DAMAGED, drift_file, versions_in_use

    path = drift_file(workspace)
    if path is None:
        return NOBODY_LOOKED
    in_use = frozenset(versions_in_use(workspace).items())
    try:
        return _text(path, path.stat().st_mtime_ns, in_use)
    except DAMAGED:
        return DAMAGED_LOOK


@lru_cache(maxsize=4)
def _text(path: Path, written_ns: int, in_use: frozenset[tuple[str, str]]) -> str:
    """Of one file, as long as it stays as it was written and the same versions are in use."""
    # Families, not gauges: under BentoML those would be files that its workers share.
    families: dict[str, GaugeMetricFamily] = {}
    for name, labels, value in _samples(json.loads(path.read_text("utf-8")), in_use, looked_at=written_ns / 1e9):
        if name not in families:
            families[name] = GaugeMetricFamily(name, _HELP[name], labels=tuple(labels))
        families[name].add_metric(tuple(labels.values()), value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(families.values()))
    return generate_latest(registry).decode()


class _Told(Collector):
    """What was found, as it is collected."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self._families


def _samples(told: Mapping[str, Any], in_use: Collection[tuple[str, str]], *, looked_at: float) -> Iterator[Sample]:
    yield _LOOKED_AT, {}, looked_at  # when it was written: the same look writes the same bytes on another day
    yield _AS_OF, {}, datetime.fromisoformat(told["as_of"]).timestamp()
    yield "rapport_orders_stopped", {}, float(told.get("no_order_since") is not None)
    for model in told["models"]:
        if (model["model"], model["version"]) not in in_use:  # replaced since: what was found is of no model served
            continue
        whose = {"model": model["model"]}
        if model["status"] != "unknown":  # 0 would say that it was looked at
            of_version = whose | {"version": model["version"]}
            yield "rapport_retrain_suggested", of_version, float(model["status"] == "retrain")
        yield "rapport_model_age_days", whose, model["days"]
        for move in model["moves"]:
            labels = whose | {"kind": move["kind"], "name": move["name"]}
            yield "rapport_drift_psi", labels, move["psi"]
            if move["ks"] is not None:
                yield "rapport_drift_ks", labels, move["ks"]
            yield "rapport_drift_unknown_ratio", labels, move["unknown_now"]
            yield "rapport_drift_moved", labels, float(move["verdict"] in ("moved", "gone", "came"))
        newest = {one["what"]: one for one in model["outcomes"] if one["is_champions"]}  # by rising day
        for what, one in newest.items():
            yield "rapport_calibration_said", whose | {"what": what}, one["said"]
            yield "rapport_calibration_came", whose | {"what": what}, one["came"]
