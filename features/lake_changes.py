"""What was added to the past, and when: so that a stored snapshot knows whether anything before its as_of changed.

Design. Two staircases are kept in the lake's manifest. `imported` counts commits: a step says that the commit of that
number brought something known since that instant. `logged` counts log_seq: a step says that among the events up to that
log_seq, and after the step before, the earliest was known since that instant. A snapshot made at a place of each is
outdated where a step beyond that place begins before its as_of. A step is dropped when a later one begins no later
than it does: whoever stands before the one stands before the other.

Invariant: merging steps may outdate a snapshot that nothing changed, never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_STEPS = 1_000


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """Something that came at this place, or after the step before it, was known since this instant at the earliest."""

    at: int  # the number of a commit, or a log_seq
    since_us: int  # microseconds since the epoch


@dataclass(slots=True)
class LogStretch:
    """What an export of the event log commits with its rows: how far it goes, and since when what of it was known."""

    through: int
    steps: list[Step] = field(default_factory=list)


def climbed(steps: Sequence[Step], added: Iterable[Step]) -> tuple[Step, ...]:
    """The staircase with further steps, each beyond those before it; at most MOST_STEPS, the oldest merged."""
    stack = list(steps)
    for step in added:
        while stack and stack[-1].since_us >= step.since_us:
            stack.pop()
        stack.append(step)
    excess = len(stack) - MOST_STEPS
    if excess > 0:
        stack[: excess + 1] = [Step(stack[excess].at, stack[0].since_us)]
    return tuple(stack)


def earliest_since(steps: Sequence[Step], place: int) -> int | None:
    """The earliest instant (microseconds) from which anything that came beyond that place was known; None if none."""
    return min((step.since_us for step in steps if step.at > place), default=None)


def known_at_us(events: pa.Table) -> np.ndarray:
    """Since when each event was known: it had happened, and it had arrived."""
    known = pc.max_element_wise(events["occurred_at"], events["received_at"])
    return np.asarray(known.cast(pa.int64()).to_numpy())


def log_steps(log: pa.Table, *, cuts: Sequence[int]) -> list[Step]:
    """Steps of a stretch of the log, a new one beyond each cut, so that who stands at a cut is told exactly.

    Args:
        log: with the columns of LOG_SCHEMA, in order.
        cuts: log_seqs at which snapshots stand, in any order.
    """
    if not log.num_rows:
        return []
    seqs, known = log["log_seq"].to_numpy(), known_at_us(log)
    starts = np.unique(np.concatenate([[0], np.searchsorted(seqs, sorted(set(cuts)), side="right")]))
    starts = starts[starts < len(seqs)]
    earliest = np.minimum.reduceat(known, starts)
    last = seqs[np.append(starts[1:], len(seqs)) - 1]
    return [Step(int(at), int(since)) for at, since in zip(last, earliest, strict=True)]
