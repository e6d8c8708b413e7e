"""The segments' round."""

from __future__ import annotations

from training.artifact import SEGMENTS, SegmentsModel, read_champions, read_description, verify, write_artifact
from training.cards.common import card_of
from training.cards.segments import sections_of
from training.dataset import WorkspaceSource
from training.gating import MARGIN_OF_SEPARATION, Check, Gate, better_by_margin, fast_enough
from training.plots import plots_of_segments
from training.registry import Registry
from training.rounds.settling import Round, settle, tags_of
from training.segments import TrainedSegments, train_segments


def segments_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    """Discovers, judges and settles the segments."""
    artifacts = source.workspace.artifacts
    champion = read_champions(artifacts).get(SEGMENTS)
    previous = read_description(artifacts, SEGMENTS, champion["version"]) if champion else None
    trained = train_segments(source, brand=source.brand, previous=previous, seed=seed)
    version = write_artifact(artifacts, trained.description, trained.boosters)
    gate = _gate(trained, source, version, champion["version"] if champion else None)
    sections = sections_of(trained.description, trained.judged.as_dict())
    card = card_of(trained.description, version, schema=source.schema, gate=gate, sections=sections)

    def record() -> str:
        return registry.record(
            SEGMENTS,
            version,
            parameters=trained.description["recipe"] | {"seed": seed, "k": len(trained.description["segments"])},
            metrics=trained.judged.as_dict(),
            figures=plots_of_segments(trained.booster, trained.description["segments"]),
            tags=tags_of(trained.description),
        )

    promoted, unchanged = settle(source, registry, gate, name=SEGMENTS, version=version, record=record, card=card)
    return Round(SEGMENTS, version, promoted, unchanged, None if unchanged else gate, trained.judged.as_dict())


def _gate(trained: TrainedSegments, source: WorkspaceSource, version: str, champion: str | None) -> Gate:
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
    model = SegmentsModel(*verify(source.workspace.artifacts, SEGMENTS, version), schema=source.schema)
    checks.append(fast_enough("fast enough to serve", model.predict, source.snapshot(source.known_until).X))
    return Gate(tuple(checks), champion)
