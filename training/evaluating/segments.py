"""Segments as of a day, judged on what came after it: where customers were later, and whether segments matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from training.artifact import SegmentsModel
from training.dataset import Snapshot, WorkspaceSource
from training.evaluating.segments_judging import Model, as_others_moved, audiences, prior, table
from training.segment_alignment import align
from training.segment_assigner import hide_behaviour
from training.segment_discovery import UNUSUAL, Grouping, discover
from training.segment_matter import Difference, Response
from training.segment_onward import ONWARD_DAYS, labels_of_later, shares
from training.segment_space import learn_space
from training.segment_windows import differences_of, midnight_by, responses_of
from training.segments import TrainedSegments, train_segments

if TYPE_CHECKING:
    from features.workspace import Workspace

HIDDEN = "full_with_behaviour_hidden"  # the full, as they would be known had they only declared something


@dataclass(frozen=True, slots=True)
class EvaluatedSegments:
    """Everything that is printed.

    Attributes:
        later: what was found anew: `k`, `stability`, and the share of customers whose segment is still the same one.
        judged: a row an audience and kind of truth, see `segments_judging.table`.
    """

    cutoff: datetime
    onward_days: int
    trained: TrainedSegments
    later: dict[str, Any]
    judged: list[dict[str, Any]]
    differences: list[Difference]
    responses: list[Response]
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        description = self.trained.description
        segments = [{part: s[part] for part in ("id", "names", "share")} for s in description["segments"]]
        return {
            "task": "segments",
            "cutoff": f"{self.cutoff:%Y-%m-%d}",
            "onward_days": self.onward_days,
            **{part: description["discovery"][part] for part in ("k", "stability", "silhouette", "is_stable")},
            "n_unusual": description["discovery"]["n_unusual"],
            "candidates": description["discovery"]["candidates"],
            "segments": segments,
            "found_anew": self.later,
            "judged": self.judged,
            "matters": {
                "next_purchase_and_value": [one.as_dict() for one in self.differences],
                "response": [one.as_dict() for one in self.responses],
            },
            "notes": self.notes,
        }


def evaluate_segments(
    workspace: Workspace, *, cutoff: date | None = None, onward_days: int = ONWARD_DAYS, seed: int = 0
) -> EvaluatedSegments:
    """Discovers and learns with what was known before a day, and judges that on what came after.

    Args:
        workspace: with a lake.
        cutoff: nothing of that day, in the brand's time zone, or later is known; None for `onward_days` before the end
            of what is known.
        onward_days: how much later the segment to be said is looked at, and how long the window of orders is.
        seed: of everything random.

    Raises:
        CallersMistake: what is known ends before the window does, or is shorter than it.
        TooLittleData: there was too little before the cutoff.
    """
    everything = WorkspaceSource(workspace)
    at = _cutoff(everything, cutoff, onward_days=onward_days)
    known = WorkspaceSource(workspace, as_of=at)
    trained = train_segments(known, brand=known.brand, seed=seed, onward_days=onward_days)
    model = SegmentsModel(trained.description | {"version": "evaluated"}, trained.boosters, schema=known.schema)
    here, after = known.snapshot(at), everything.snapshot(at + timedelta(days=onward_days))
    grouping, ids = Grouping.of_description(trained.description, inputs=known.inputs)
    same = grouping.labels(after.X, inputs=known.inputs)
    anew, later = _found_anew(after, same, ids=ids, source=everything, seed=seed)

    beside = _beside(known, here, grouping, onward_days=onward_days)
    who = audiences(here.X, inputs=known.inputs)
    everything_known = [*_ours(model, here.X), *beside.values()]
    models = dict.fromkeys(who, everything_known)
    who[HIDDEN] = who["full"]
    models[HIDDEN] = [
        *_ours(model, _without_behaviour(here.X, inputs=known.inputs)),
        *(beside[name] for name in ("prior", "majority")),
    ]
    judged = [
        row
        for truth, labels in (("found_anew", anew), ("same_groups", same))
        for row in table(models, labels_of_later(here, after, labels), who, truth=truth)
    ]
    found, why = differences_of(everything, model, at=at, horizon_days=onward_days)
    responses, reasons = responses_of(everything, model, since=at)
    notes = [*([why] if why else []), *reasons]
    if model.onward_days is None:
        notes.append(
            f"nothing says where customers will be in {onward_days} days: orders begin on {known.first:%Y-%m-%d}"
        )
    return EvaluatedSegments(at, onward_days, trained, later, judged, found, responses, notes)


def _cutoff(source: WorkspaceSource, asked: date | None, *, onward_days: int) -> datetime:
    zone = source.brand.time_zone
    latest = midnight_by(source.known_until - timedelta(days=onward_days), time_zone=zone)
    if asked is None and latest <= source.first:
        raise CallersMistake(
            f"Asked to judge segments on what came {onward_days} days later, but what is known is from "
            f"{source.first:%Y-%m-%d} to {source.known_until:%Y-%m-%d}. Bring more in with 'rapport import', or ask "
            "for fewer --onward-days."
        )
    at = latest if asked is None else datetime.combine(asked, time(), tzinfo=ZoneInfo(zone))
    if at > latest:
        raise CallersMistake(
            f"Asked to judge segments of {at:%Y-%m-%d} on what came {onward_days} days later, but what is known ends "
            f"on {source.known_until:%Y-%m-%d}. Use a --cutoff of {latest:%Y-%m-%d} or earlier, or fewer --onward-days."
        )
    return at


def _found_anew(
    after: Snapshot, same: NDArray[np.intp], *, ids: list[str], source: WorkspaceSource, seed: int
) -> tuple[NDArray[np.intp], dict[str, Any]]:
    """Each customer's segment as found anew later, by the old segment that it continues; -1 where it continues none."""
    space = learn_space(after.X, inputs=source.inputs, categories=source.categories)
    found = discover(space, after.X, inputs=source.inputs, seed=seed)
    labels, k = found.grouping.labels(after.X, inputs=source.inputs), len(found.centres)
    _, continued = align(labels, k=k, previous=same, previous_ids=ids)
    place = {name: i for i, name in enumerate(ids)}
    of_label = [-1 if name is None else place[name] for name in continued] + [place.get(UNUSUAL, -1)]
    truth = np.array(of_label)[labels]
    said = {
        "k": k,
        "stability": round(found.stability, 6),
        "silhouette": round(found.silhouette, 6),
        "n_continued": sum(name is not None for name in continued),
        "share_in_continued": round(float((truth >= 0).mean()), 6),
        "share_agreeing": round(float((truth == same).mean()), 6),
    }
    return truth, said


def _ours(model: SegmentsModel, X: NDArray[np.float32]) -> list[Model]:
    """Where customers will be, where that was learned, and where they are now."""
    onward = model.predict_onward(X)
    said = [] if onward is None else [Model.saying("onward", onward)]
    return [*said, Model.saying("assigner", model.predict(X))]


def _without_behaviour(X: NDArray[np.float32], *, inputs: Sequence[str]) -> NDArray[np.float32]:
    """What is known of customers if they had only declared something: as newcomers, whose counts are 0."""
    return hide_behaviour(X, inputs=inputs, like=X, as_newcomers=np.ones(len(X), dtype=bool))


def _beside(known: WorkspaceSource, here: Snapshot, grouping: Grouping, *, onward_days: int) -> dict[str, Model]:
    """What would be said without a model, by name, learned from the days before the cutoff."""
    k, now = grouping.n_labels, grouping.labels(here.X, inputs=known.inputs)
    before = here.as_of - timedelta(days=onward_days)
    if before <= known.first:
        counts = np.bincount(now, minlength=k)
        chances, moved = np.tile(shares(now, k=k), (len(now), 1)), {}
    else:
        earlier = known.snapshot(before)
        y, then = labels_of_later(earlier, here, now), grouping.labels(earlier.X, inputs=known.inputs)
        past, present = (audiences(one.X, inputs=known.inputs) for one in (earlier, here))
        counts = np.bincount(y[y >= 0], minlength=k)
        chances = prior(past, y, of=present, k=k)
        moved = {"as others moved": Model.saying("as others moved", as_others_moved(now, then, y, k=k))}
    majority = Model("majority", np.full(len(now), int(counts.argmax())), None)
    return moved | {"prior": Model.saying("prior", chances), "majority": majority}
