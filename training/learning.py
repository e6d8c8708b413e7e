"""One training round: learn, judge, write, record, and promote what passes its gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from training.artifact import (
    NEXT_PURCHASE,
    SEGMENTS,
    ArtifactRefused,
    NextPurchaseModel,
    load_champion,
    read_champions,
    read_description,
    write_artifact,
)
from training.dataset import WorkspaceSource
from training.evaluation import log_losses
from training.next_purchase import Trained, train_next_purchase
from training.plots import plots_of_next_purchase, plots_of_segments
from training.promotion import (
    MARGIN_OF_SEPARATION,
    Check,
    Gate,
    better_by_margin,
    not_yet,
    promote,
    record_gate,
)
from training.registry import Registry
from training.segments import TrainedSegments, train_segments
from training.split import TooLittleData, whole_weeks

if TYPE_CHECKING:
    from features.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one model in a training round.

    Attributes:
        version: of the artefact written; None where there was too little data.
        promoted: whether it became the champion just now.
        unchanged: whether data and seed gave the champion itself again.
        refused: why there is no model, or no model of some horizon.
    """

    model: str
    version: str | None = None
    promoted: bool = False
    unchanged: bool = False
    gate: Gate | None = None
    judged: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "unchanged": self.unchanged,
            "gate": self.gate.as_dict() if self.gate else None,
            "judged": self.judged,
            "refused": list(self.refused),
        }


def train_models(
    workspace: Workspace, *, models: tuple[str, ...], as_of: datetime | None, seed: int = 0
) -> list[Round]:
    """Trains each model asked for; one that there is too little data for is refused, the others are not.

    Args:
        workspace: with a lake.
        models: `segments`, `next_purchase` or both.
        as_of: nothing later is known; None for the midnight after the last event, at latest today's start.
        seed: of everything random.
    """
    source = WorkspaceSource(workspace, as_of=as_of)
    rounds = []
    with Registry(workspace) as registry:
        for model in models:
            one = _segments_round if model == SEGMENTS else _next_purchase_round
            try:
                rounds.append(one(source, registry, seed))
            except TooLittleData as reason:
                rounds.append(Round(model, refused=(str(reason),)))
    return rounds


def _segments_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    artifacts = source.workspace.artifacts
    champion = read_champions(artifacts).get(SEGMENTS)
    previous = read_description(artifacts, SEGMENTS, champion["version"]) if champion else None
    trained = train_segments(source, brand=source.brand, previous=previous, seed=seed)
    version = write_artifact(artifacts, trained.description, trained.boosters)
    gate = _gate_of_segments(trained, champion["version"] if champion else None)
    promoted, unchanged = _settle(source, SEGMENTS, version, gate)
    if not unchanged:
        registry.record(
            SEGMENTS,
            version,
            parameters=trained.description["recipe"] | {"seed": seed, "k": len(trained.description["segments"])},
            metrics=trained.judged.as_dict(),
            figures=plots_of_segments(trained.booster, trained.description["segments"]),
            tags=_tags(trained.description),
        )
    if promoted:
        registry.crown(SEGMENTS, version)
    return Round(SEGMENTS, version, promoted, unchanged, None if unchanged else gate, trained.judged.as_dict())


def _next_purchase_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    artifacts = source.workspace.artifacts
    trained = train_next_purchase(source, horizons_days=source.brand.horizons_days, seed=seed)
    version = write_artifact(artifacts, trained.description, trained.boosters)
    gate = _gate_of_next_purchase(trained, source)
    promoted, unchanged = _settle(source, NEXT_PURCHASE, version, gate)
    judged = {f"{head['horizon_days']}d": head["judged"] for head in trained.description["heads"]}
    if not unchanged:
        registry.record(
            NEXT_PURCHASE,
            version,
            parameters=_parameters(trained) | {"seed": seed},
            metrics={f"{name}_{horizon}": v for horizon, of in judged.items() for name, v in of.items()},
            figures=plots_of_next_purchase(trained.heads, trained.judged),
            tags=_tags(trained.description),
        )
    if promoted:
        registry.crown(NEXT_PURCHASE, version)
    return Round(
        NEXT_PURCHASE,
        version,
        promoted,
        unchanged,
        None if unchanged else gate,
        judged,
        tuple(trained.refused.values()),
    )


def _settle(source: WorkspaceSource, name: str, version: str, gate: Gate) -> tuple[bool, bool]:
    """Promotes what passed; whether it did, and whether it was the champion all along."""
    artifacts = source.workspace.artifacts
    if read_champions(artifacts).get(name, {}).get("version") == version:
        return False, True
    record_gate(artifacts, name, version, gate)
    return gate.passed and promote(artifacts, name, version, reason="the gate passed"), False


def _gate_of_segments(trained: TrainedSegments, champion: str | None) -> Gate:
    judged = trained.judged
    checks = [
        better_by_margin(
            "assigns better than the known shares", loss=judged.log_loss, other=judged.log_loss_of_constant
        )
    ]
    if judged.separation_of_previous is not None:
        gain = judged.separation - judged.separation_of_previous
        checks.append(
            Check(
                "separates today's customers better than the champion",
                gain > MARGIN_OF_SEPARATION,
                f"silhouette {judged.separation:.3f} against {judged.separation_of_previous:.3f}, "
                f"needed is {MARGIN_OF_SEPARATION} more",
            )
        )
    return Gate(tuple(checks), champion)


def _gate_of_next_purchase(trained: Trained, source: WorkspaceSource) -> Gate:
    checks = [
        better_by_margin(
            f"{one.horizon_days} days: better than saying {one.constant:.1%} of everybody",
            loss=one.quality().log_loss,
            other=one.loss_of_constant(),
        )
        for one in trained.judged
    ]
    champion = read_champions(source.workspace.artifacts).get(NEXT_PURCHASE, {}).get("version")
    if champion is not None:
        checks.append(_against_champion(trained, source))
    return Gate(tuple(checks), champion)


def _against_champion(trained: Trained, source: WorkspaceSource) -> Check:
    """On every horizon's newest window that the champion did not know either, together."""
    question = "better than the champion"
    try:
        champion = load_champion(source.workspace.artifacts, NEXT_PURCHASE, source.schema)
    except ArtifactRefused:
        return Check(question, True, "the champion does not fit the features of today, so it cannot be served")
    if not isinstance(champion, NextPurchaseModel):
        return Check(question, True, "there is no champion")
    made_at = datetime.fromisoformat(champion.description["as_of"])
    ours, theirs = [], []
    for one in trained.judged:
        if one.as_of < made_at or one.horizon_days not in champion.horizons_days:
            continue
        column = champion.horizons_days.index(one.horizon_days)
        said = champion.predict(source.snapshot(one.as_of).X)[:, column]
        ours.append(float(log_losses(one.y, one.probability).mean()))
        theirs.append(float(log_losses(one.y, said).mean()))
    if not ours:
        free_on = made_at + timedelta(days=min(whole_weeks(one.horizon_days) for one in trained.judged))
        return not_yet(question, free_on=free_on)
    return better_by_margin(question, loss=float(np.mean(ours)), other=float(np.mean(theirs)))


def _parameters(trained: Trained) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for head in trained.description["heads"]:
        for name in ("recipe", "windows"):
            parameters |= {f"{name}_{key}_{head['horizon_days']}d": value for key, value in head[name].items()}
    return parameters


def _tags(description: dict[str, Any]) -> dict[str, str]:
    return {name: str(description[name]) for name in ("as_of", "fingerprint", "schema_version")}
