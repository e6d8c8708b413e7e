"""What the response model is held against: who was decided about since its training, and what they then earned."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, InvalidFile
from features.lake import instant_us
from features.owners import persons
from training.artifact import ResponseModel
from training.dataset import WorkspaceSource
from training.drift.outcomes import Outcome, outcome_of_rewards
from training.labels import EPOCH
from training.response.known_before import known_before, starts_of
from training.response.ledger_rows import ledger_rows
from training.response.rows import ResponseRows

LOOKED_BACK = timedelta(days=14)
MOST_DECIDED = 20_000  # customers, the newest
MOST_MONTHS = 12
_DECIDED = """
SELECT customer_key, max(decided_at) FROM decisions WHERE decided_at >= ? AND decided_at < ?
GROUP BY customer_key ORDER BY 2 DESC LIMIT ?
"""


def decided_since(source: WorkspaceSource, since: datetime) -> NDArray[np.float32]:
    """What was known of the customers decided about since then, in the last two weeks; one row each, the newest.

    As of the start of the decision's day, as in the rows that teach: customers a week before they were decided about
    are others than on the day itself.

    Args:
        source: of features; nothing later than it knows is read.
        since: the model's training day.
    """
    until = instant_us(source.known_until)
    begin = max(instant_us(since), until - instant_us(EPOCH + LOOKED_BACK))
    if not source.workspace.database.is_file():
        return np.empty((0, len(source.inputs)), dtype=np.float32)
    with closing(sqlite3.connect(source.workspace.database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone():
            return np.empty((0, len(source.inputs)), dtype=np.float32)
        found = np.array(connection.execute(_DECIDED, (begin, until, MOST_DECIDED)).fetchall(), dtype=np.int64)
    keys, at_us = found.reshape(-1, 2).T
    X, is_known = known_before(source, keys, starts_of(at_us))
    joined = persons(source.workspace)
    _, first = np.unique([joined.get(int(key), int(key)) for key in keys[is_known]], return_index=True)
    return np.asarray(X[is_known][first])


def outcomes_of_decisions(source: WorkspaceSource, model: ResponseModel) -> tuple[list[Outcome], Outcome | None]:
    """By month of decision, and all together: what the decisions that the champion was not taught were worth.

    Args:
        source: of features and of the ledger; a decision whose window is open is left out.
        model: the champion.

    Returns:
        The months, the newest twelve; and the whole, or None where no such decision's window has closed.
    """
    taught_until = datetime.fromisoformat(model.description["windows"]["taught"][1])
    try:
        rows = ledger_rows(source, since=taught_until + timedelta(microseconds=1))
    except InvalidFile:
        raise
    except CallersMistake:  # there is none whose window has closed
        return [], None
    said = model.rewards(rows.X, rows.actions)[np.arange(len(rows)), rows.action]
    spoken_of = np.flatnonzero(np.isfinite(said))
    rows, said = rows.taken(spoken_of), said[spoken_of]
    if not len(rows):
        return [], None
    months = rows.at.astype("datetime64[M]")
    found = [_outcome(source, model, rows, said, months == month) for month in np.unique(months)[-MOST_MONTHS:]]
    return found, _outcome(source, model, rows, said, np.ones(len(rows), dtype=np.bool_))


def _outcome(
    source: WorkspaceSource,
    model: ResponseModel,
    rows: ResponseRows,
    said: NDArray[np.float64],
    is_in: NDArray[np.bool_],
) -> Outcome:
    at_us = rows.at[is_in].astype("datetime64[us]").astype(np.int64)
    first, last = (EPOCH + timedelta(microseconds=int(at)) for at in (at_us.min(), at_us.max()))
    return outcome_of_rewards(
        said[is_in],
        rows.reward[is_in],
        rows.cluster[is_in],
        said_at=first,
        until=last + timedelta(days=source.brand.rewards.attribution_days),
        version=model.version,
    )
