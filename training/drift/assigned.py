"""How sure a model of segments was beside how often it was right: of today's group, and of the one to come."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from experiments.metrics import wilson_interval
from training.artifact import SegmentsModel
from training.calibration import FloatArray
from training.dataset import Source
from training.drift.outcomes import RATE, Outcome, verdict_of_level
from training.drift.reference import MOST_CUSTOMERS, some
from training.segment_discovery import Grouping
from training.segment_onward import labels_of_later

RIGHT = "the right segment"


def outcomes_of_segments(source: Source, model: SegmentsModel) -> list[Outcome]:
    """What the champion says of today's customers, and what it said of those who were known so many days ago."""
    onward = outcome_of_onward(source, model)
    return [outcome_of_assigning(source, model), *([] if onward is None else [onward])]


def outcome_of_assigning(source: Source, model: SegmentsModel) -> Outcome:
    """How sure the assigner is of today's customers beside how often it is right: that is known at once.

    Right is the group whose centre is nearest, as when the segments were found.
    """
    X = some(source.snapshot(source.known_until).X)
    right = model.predict(X), _columns_of(source, model, X)
    return _outcome(RIGHT, *right, model=model, said_at=source.known_until, until=source.known_until)


def outcome_of_onward(source: Source, model: SegmentsModel) -> Outcome | None:
    """What it said of where customers would be, on the newest day of which that is known now, beside where they are.

    None where the version looks no further than today, or so many days have not passed since its training: of an
    earlier day it had seen what came. Of a customer who is no longer there (joined into another) nothing is known.
    """
    days, trained_at = model.onward_days, datetime.fromisoformat(model.description["as_of"])
    said_at = source.known_until - timedelta(days=days or 0)
    if days is None or said_at < trained_at:
        return None
    then, now = source.snapshot(said_at), source.snapshot(source.known_until)
    came = labels_of_later(then, now, _columns_of(source, model, now.X))
    rows = np.flatnonzero(came >= 0)
    rows = rows[:: -(-len(rows) // MOST_CUSTOMERS) or 1]
    probability = model.predict_onward(then.X[rows])
    if probability is None or not len(rows):
        return None
    told = f"{RIGHT} {days} days later"
    return _outcome(told, probability, came[rows], model=model, said_at=said_at, until=source.known_until, days=days)


def _columns_of(source: Source, model: SegmentsModel, X: NDArray[np.float32]) -> NDArray[np.intp]:
    """Whose group each customer is in, as a column of what the model says, shape `(n,)`."""
    grouping, ids = Grouping.of_description(model.description, inputs=source.inputs, categories=source.categories)
    columns = np.array([model.segment_ids.index(one) for one in ids])
    found: NDArray[np.intp] = columns[grouping.labels(X, inputs=source.inputs)]
    return found


def _outcome(
    what: str,
    probability: FloatArray,
    came: NDArray[np.intp],
    *,
    model: SegmentsModel,
    said_at: datetime,
    until: datetime,
    days: int | None = None,
) -> Outcome:
    right = (probability.argmax(axis=1) == came).astype(np.uint8)
    said: FloatArray = probability.max(axis=1)
    low, high = wilson_interval(int(right.sum()), len(right))
    return Outcome(
        what=what,
        horizon_days=days,
        unit=RATE,
        said_at=said_at,
        until=until,
        version=model.version,
        is_champions=True,
        n=len(right),
        said=float(said.mean()),
        came=float(right.mean()),
        low=low,
        high=high,
        slope=None,
        slope_error=None,
        verdict=verdict_of_level(right, said),
    )
