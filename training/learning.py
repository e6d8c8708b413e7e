"""One training round: learn, judge, write, record, and promote what passes its gate."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from training.next_purchase import Judged, Trained, number_boosters, train_next_purchase
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

    def record() -> None:
        registry.record(
            SEGMENTS,
            version,
            parameters=trained.description["recipe"] | {"seed": seed, "k": len(trained.description["segments"])},
            metrics=trained.judged.as_dict(),
            figures=plots_of_segments(trained.booster, trained.description["segments"]),
            tags=_tags(trained.description),
        )

    promoted, unchanged = _settle(source, registry, gate, name=SEGMENTS, version=version, record=record)
    return Round(SEGMENTS, version, promoted, unchanged, None if unchanged else gate, trained.judged.as_dict())


def _next_purchase_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    artifacts = source.workspace.artifacts
    champion = _next_purchase_champion(source)
    learned = train_next_purchase(source, horizons_days=source.brand.horizons_days, seed=seed)
    served = champion.horizons_days if isinstance(champion, NextPurchaseModel) else ()
    trained = without_hopeless(learned, served=served)
    version = write_artifact(artifacts, trained.description, trained.boosters)
    gate = _gate_of_next_purchase(trained, source, champion)
    judged = {f"{head['horizon_days']}d": head["judged"] for head in trained.description["heads"]}

    def record() -> None:
        registry.record(
            NEXT_PURCHASE,
            version,
            parameters=_parameters(trained) | {"seed": seed},
            metrics={f"{name}_{horizon}": v for horizon, of in judged.items() for name, v in of.items()},
            figures=plots_of_next_purchase(trained.heads, trained.judged),
            tags=_tags(trained.description),
        )

    promoted, unchanged = _settle(source, registry, gate, name=NEXT_PURCHASE, version=version, record=record)
    return Round(
        NEXT_PURCHASE,
        version,
        promoted,
        unchanged,
        None if unchanged else gate,
        judged,
        tuple(trained.refused.values()),
    )


def _settle(
    source: WorkspaceSource,
    registry: Registry,
    gate: Gate,
    *,
    name: str,
    version: str,
    record: Callable[[], None],
) -> tuple[bool, bool]:
    """Promotes what passed, once it is on record; whether it did, and whether it was the champion all along."""
    artifacts = source.workspace.artifacts
    if read_champions(artifacts).get(name, {}).get("version") == version:
        return False, True
    record_gate(artifacts, name, version, gate)
    record()
    promoted = gate.passed and promote(artifacts, name, version, schema=source.schema, reason="the gate passed")
    if promoted:
        registry.crown(name, version)
    return promoted, False


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


Champion = NextPurchaseModel | ArtifactRefused | None  # refused: it does not fit the features of today


def _next_purchase_champion(source: WorkspaceSource) -> Champion:
    try:
        champion = load_champion(source.workspace.artifacts, NEXT_PURCHASE, source.schema)
    except ArtifactRefused as refused:
        return refused
    return champion if isinstance(champion, NextPurchaseModel) else None


def without_hopeless(trained: Trained, *, served: Collection[int]) -> Trained:
    """Leaves out horizons that are no better than the known rate, so that they do not keep back the others.

    Args:
        trained: every horizon that could be learned.
        served: the champion's horizons; they stay, and the gate fails: a challenger takes no horizon away. Where none
            would be left, all stay, for the gate to say so.
    """
    checks = {one.horizon_days: (one, _against_constant(one)) for one in trained.judged}
    hopeless = {
        horizon: f"A {horizon}-day model was learned, but judged as of {one.as_of:%Y-%m-%d} it is not "
        f"{check.question.partition(': ')[2]} ({check.answer}). It is left out: try again with more customers."
        for horizon, (one, check) in checks.items()
        if not check.passed and horizon not in served
    }
    if not hopeless or len(hopeless) == len(trained.heads):
        return trained
    refused = dict(sorted((trained.refused | hopeless).items()))
    heads = [head for head in trained.description["heads"] if head["horizon_days"] not in hopeless]
    return Trained(
        trained.description
        | {"heads": number_boosters(heads), "refused": {str(horizon): why for horizon, why in refused.items()}},
        [head for head in trained.heads if head.horizon_days not in hopeless],
        [one for one in trained.judged if one.horizon_days not in hopeless],
        refused,
    )


def _against_constant(one: Judged) -> Check:
    return better_by_margin(
        f"{one.horizon_days} days: better than saying {one.constant:.1%} of everybody",
        loss=one.quality().log_loss,
        other=one.loss_of_constant(),
    )


def _gate_of_next_purchase(trained: Trained, source: WorkspaceSource, champion: Champion) -> Gate:
    checks = [_against_constant(one) for one in trained.judged]
    version = read_champions(source.workspace.artifacts).get(NEXT_PURCHASE, {}).get("version")
    if champion is not None:
        checks.append(_against_champion(trained, source, champion))
    return Gate(tuple(checks), version)


def _against_champion(
    trained: Trained, source: WorkspaceSource, champion: NextPurchaseModel | ArtifactRefused
) -> Check:
    """On every horizon's newest window that the champion did not know either, together."""
    question = "better than the champion"
    if isinstance(champion, ArtifactRefused):
        return Check(question, True, "the champion does not fit the features of today, so it cannot be served")
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
