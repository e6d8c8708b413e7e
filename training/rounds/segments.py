"""The segments' round."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.artifact import (
    SEGMENTS,
    ArtifactRefused,
    SegmentsModel,
    load_champion,
    read_champions,
    read_description,
    verify,
    write_artifact,
)
from training.calibration import SMALLEST_PROBABILITY, FloatArray
from training.cards.common import card_of
from training.cards.segments import sections_of
from training.dataset import WorkspaceSource
from training.drift.keeping import of_everybody
from training.gating import (
    MARGIN_OF_SEPARATION,
    Check,
    Gate,
    better_beyond_noise,
    better_by_margin,
    calibrated,
    fast_enough,
    harmless,
)
from training.groups import as_old_as, groups_of, large
from training.plots import plots_of_segments
from training.registry import Registry
from training.resampling import FEW_DRAWS, paired_difference
from training.rounds.settling import Round, settle, tags_of
from training.segment_discovery import STABLE, Grouping, separation
from training.segment_onward import ONWARD_DAYS, WINDOWS
from training.segment_telling import cutoffs_of_matter, details, lines, whether_they_matter
from training.segments import TrainedSegments, train_segments
from training.some_customers import lines_of
from training.split import WEEK


def segments_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    """Discovers, judges and settles the segments."""
    artifacts = source.workspace.artifacts
    previous, champion = champion_of(source)
    _make_snapshots(source)
    trained = train_segments(source, brand=source.brand, previous=previous, seed=seed)
    days = [WEEK, 2 * WEEK, *([ONWARD_DAYS] if trained.onward is not None else [])]
    beside = of_everybody(source, SegmentsModel, trained.description, trained.boosters, days=days)
    version = write_artifact(artifacts, trained.description, trained.boosters, beside=beside)
    gate = _gate(trained, source, version, champion)
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
    model = SegmentsModel(*verify(artifacts, SEGMENTS, version), schema=source.schema)
    matters = whether_they_matter(source, model)
    return Round(
        SEGMENTS,
        version,
        promoted,
        unchanged,
        None if unchanged else gate,
        trained.judged.as_dict(),
        notes=(*lines_of(trained.description), *lines(trained, *matters, locale=source.brand.default_locale)),
        details=details(trained, *matters),
    )


def _make_snapshots(source: WorkspaceSource) -> None:
    """All that learning, the gate and what is told will look at, in one pass over the lake."""
    onward = (ONWARD_DAYS * (1 + window) for window in range(WINDOWS))
    back = (0, WEEK, 2 * WEEK, *onward, source.brand.freshness.features_days)
    wanted = {source.known_until - timedelta(days=days) for days in back} | {*cutoffs_of_matter(source)}
    source.prepare(sorted(at for at in wanted if at > source.first))


def champion_of(source: WorkspaceSource) -> tuple[dict[str, Any] | None, SegmentsModel | None]:
    """The champion's model.json and the champion, each None where there is none, or none that can be read or served.

    One that does not fit the features of today still lends its ids and names, and keeps no challenger back.
    """
    artifacts = source.workspace.artifacts
    named = read_champions(artifacts).get(SEGMENTS)
    if named is None:
        return None, None
    try:
        previous = read_description(artifacts, SEGMENTS, named["version"], sha256=named["sha256"])
    except ArtifactRefused:
        return None, None
    try:
        champion = load_champion(artifacts, SEGMENTS, source.schema)
    except ArtifactRefused:
        return previous, None
    return previous, champion if isinstance(champion, SegmentsModel) else None


def _gate(trained: TrainedSegments, source: WorkspaceSource, version: str, champion: SegmentsModel | None) -> Gate:
    model = SegmentsModel(*verify(source.workspace.artifacts, SEGMENTS, version), schema=source.schema)
    today = source.snapshot(source.known_until)
    grouping, ids = Grouping.of_description(trained.description, inputs=source.inputs)
    columns = np.array([model.segment_ids.index(one) for one in ids])
    y = columns[grouping.labels(today.X, inputs=source.inputs)]
    shares = np.array([float(segment["share"]) for segment in trained.description["segments"]])
    judged, probability, known = trained.judged, model.predict(today.X), _losses(np.tile(shares, (len(y), 1)), y)
    losses = _losses(probability, y)
    checks = [
        _come_again(trained),
        better_by_margin(
            "assigns better than the known shares, also who only declared something",
            loss=judged.log_loss,
            other=judged.log_loss_of_constant,
        ),
        better_beyond_noise(
            "assigns today's customers better than the known shares",
            paired_difference(known - losses),
            loss=float(losses.mean()),
            other=float(known.mean()),
        ),
        calibrated("knows how sure it is", _right(probability, y), probability.max(axis=1)),
        *_of_old_inputs(source, model, y, known),
        _in_groups(source, known - losses, known),
    ]
    if champion is not None:
        checks.append(separates_as_well(grouping.space.place(today.X, inputs=source.inputs), today.X, model, champion))
    checks.append(fast_enough("fast enough to serve", model.predict, today.X))
    return Gate(tuple(checks), read_champions(source.workspace.artifacts).get(SEGMENTS, {}).get("version"))


def _come_again(trained: TrainedSegments) -> Check:
    stability = trained.description["discovery"]["stability"]
    return Check(
        "come again when customers are drawn anew",
        stability >= STABLE,
        f"bootstrap adjusted Rand index {stability:.3f}, needed is {STABLE}",
    )


def _losses(probability: FloatArray, y: NDArray[np.intp]) -> FloatArray:
    return -np.log(np.clip(probability[np.arange(len(y)), y], SMALLEST_PROBABILITY, 1.0))


def _right(probability: FloatArray, y: NDArray[np.intp]) -> NDArray[np.uint8]:
    return np.asarray(probability.argmax(axis=1) == y, dtype=np.uint8)


def _of_old_inputs(
    source: WorkspaceSource, model: SegmentsModel, y: NDArray[np.intp], known: FloatArray
) -> tuple[Check, ...]:
    days = source.brand.freshness.features_days
    if source.known_until - timedelta(days=days) <= source.first:
        return ()
    old, now = as_old_as(source, source.known_until, days=days)
    if not len(now):
        return ()
    return (
        better_by_margin(
            f"better than the shares with inputs {days:g} days old, as old as freshness allows",
            loss=float(_losses(model.predict(old.X), y[now]).mean()),
            other=float(known[now].mean()),
            margin=0.0,
        ),
    )


def _in_groups(source: WorkspaceSource, gain: FloatArray, known: FloatArray) -> Check:
    groups = {kind: names for kind, names in groups_of(source, source.known_until).items() if kind != "segment"}
    return harmless(
        "in no large group worse than the known shares",
        [
            (str(one), paired_difference(gain[one.rows], draws=FEW_DRAWS), float(known[one.rows].mean()))
            for one in large(groups)
        ],
    )


def separates_as_well(
    placed: FloatArray, X: NDArray[np.float32], model: SegmentsModel, champion: SegmentsModel
) -> Check:
    """Within a margin: the same groups found anew are fresher, not better, and shall replace those of long ago.

    Args:
        placed: today's customers in the challenger's space, shape `(n, n_axes)`.
        X: what is known of them, shape `(n, n_inputs)`.
        model: the challenger.
        champion: assigns them as it does today.
    """
    ours, theirs = (
        separation(placed, np.unique(one.assign(X), return_inverse=True)[1], seed=0) for one in (model, champion)
    )
    return Check(
        "separates today's customers as well as the champion",
        ours >= theirs - MARGIN_OF_SEPARATION,
        f"silhouette {ours:.3f} against {theirs:.3f}, at most {MARGIN_OF_SEPARATION} less is allowed",
    )
