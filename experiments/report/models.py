"""Reads `lake/drift/`: whether the models in use still hold, as `rapport drift` or `rapport run` last found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.workspace import Workspace

RETRAIN = "retrain"
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError)  # by reading what is no look, or another version's
MOST_REASONS = 5  # of one model: the first ones are the gravest


@dataclass(frozen=True, slots=True)
class WatchedReason:
    """Why a model should be trained anew; docs/drift.md has the codes.

    Attributes:
        name: of the input, score or promise that it is about.
        then: what was, or was said; now: what is, or came; None where there is no such number.
    """

    code: str
    name: str
    then: float | None
    now: float | None


@dataclass(frozen=True, slots=True)
class Promise:
    """What the model in use said, and what came.

    Attributes:
        what: by which a reason names it.
        unit: rate or money.
        horizon_days: so many days ahead: of an order, or of the segment; None of anything else.
    """

    what: str
    unit: str
    horizon_days: int | None
    said: float
    came: float


@dataclass(frozen=True, slots=True)
class WatchedModel:
    """One model in use."""

    model: str
    trained_at: datetime
    status: str
    reasons: tuple[WatchedReason, ...]
    promises: tuple[Promise, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """All of them, as of one instant.

    Attributes:
        as_of: nothing later was known; None where the file of the newest look is damaged: nothing is known of it then.
        looked_at: when somebody looked, which may be long after the last event; None where that is not known.
        models: versions that were looked at and are in use still.
        no_order_since: the last order, where orders have stopped: that is to be looked at before any training.
        unseen: names of models in use of which another version was looked at, or none.
    """

    as_of: datetime | None
    models: tuple[WatchedModel, ...] = ()
    unseen: tuple[str, ...] = ()
    no_order_since: datetime | None = None
    looked_at: datetime | None = None

    @property
    def to_retrain(self) -> tuple[WatchedModel, ...]:
        """Those for which a training is suggested."""
        return tuple(one for one in self.models if one.status == RETRAIN)


def drift_file(workspace: Workspace) -> Path | None:
    """The newest look at the models; None before the first."""
    return max((workspace.lake / "drift").glob("day=*/drift.json"), default=None)


def champion_file(workspace: Workspace) -> Path:
    """Which versions are in use."""
    return workspace.artifacts / "champion.json"


def versions_in_use(workspace: Workspace) -> dict[str, str]:
    """`{model: version}` of what is served."""
    path = champion_file(workspace)
    champions: dict[str, dict[str, str]] = json.loads(path.read_bytes()) if path.is_file() else {}
    return {name: one["version"] for name, one in champions.items()}


def read_watched(workspace: Workspace) -> Watched | None:
    """What the newest look found of what is in use; None before the first, and where nothing is in use."""
    path, in_use = drift_file(workspace), versions_in_use(workspace)
    if path is None or not in_use:
        return None
    try:
        looked_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)  # it is replaced whole by whoever looks
        return replace(_watched(json.loads(path.read_text("utf-8")), in_use), looked_at=looked_at)
    except DAMAGED:
        return Watched(as_of=None)


def _watched(told: Mapping[str, Any], in_use: Mapping[str, str]) -> Watched:
    looked_at = [one for one in told["models"] if in_use.get(one["model"]) == one["version"]]
    seen = {one["model"] for one in looked_at}
    return Watched(
        as_of=datetime.fromisoformat(told["as_of"]),
        models=tuple(_model(one) for one in looked_at),
        unseen=tuple(name for name in in_use if name not in seen),
        no_order_since=datetime.fromisoformat(since) if (since := told.get("no_order_since")) else None,
    )


def _model(told: Mapping[str, Any]) -> WatchedModel:
    return WatchedModel(
        model=told["model"],
        trained_at=datetime.fromisoformat(told["trained_at"]),
        status=told["status"],
        reasons=tuple(
            WatchedReason(one["code"], one["name"], one["then"], one["now"]) for one in told["reasons"][:MOST_REASONS]
        ),
        promises=_promises(told["outcomes"]),
    )


def _promises(outcomes: Sequence[Mapping[str, Any]]) -> tuple[Promise, ...]:
    """The newest of each kind that the model in use made itself."""
    newest = {one["what"]: one for one in sorted(outcomes, key=lambda one: one["said_at"]) if one["is_champions"]}
    return tuple(
        Promise(one["what"], one["unit"], one["horizon_days"], one["said"], one["came"]) for one in newest.values()
    )
