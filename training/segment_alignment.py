"""Which new segment continues which old one, by the customers whom they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.segment_discovery import UNUSUAL, jaccard

STILL_THE_SAME = 0.5  # of the customers in either are in both: less, and the old segment is dissolved (Hennig 2007)


@dataclass(frozen=True, slots=True)
class Continuity:
    """What became of the segments of the version before.

    Attributes:
        previous: that version.
        n: customers who were in both.
        stayed: the share whose segment has the id that it had.
        kept: by id, the share of an old segment's customers who are still in it.
        new: ids that did not exist before; `gone`: ids that do not exist any more.
    """

    previous: str
    n: int
    stayed: float
    kept: dict[str, float]
    new: tuple[str, ...]
    gone: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "previous": self.previous,
            "n": self.n,
            "stayed": round(self.stayed, 6),
            "kept": {name: round(share, 6) for name, share in self.kept.items()},
            "new": list(self.new),
            "gone": list(self.gone),
        }


def align(
    labels: NDArray[np.intp],
    *,
    k: int,
    previous: NDArray[np.intp] | None,
    previous_ids: Sequence[str],
    last_id: int = 0,
) -> tuple[list[str], list[str | None]]:
    """Ids for new groups: the old segment's that shares most customers with it, else one that never was.

    The pairs are those whose shares in common (Jaccard) are largest in sum, and a pair counts only from one half on.

    Args:
        labels: each customer's new group, shape `(n,)`, below k; whoever is at k or above takes no part.
        k: how many groups.
        previous: the same customers' old segment, as a place in `previous_ids`; None for a first version.
        previous_ids: theirs; the unusual take no part.
        last_id: the highest number that any version ever gave.

    Returns:
        The ids, and for each the id of the old segment that it continues, or None.

    References:
        Kuhn (1955), The Hungarian method for the assignment problem.
    """
    old_ids = [name for name in previous_ids if name != UNUSUAL]
    continued: list[str | None] = [None] * k
    if previous is not None and old_ids:
        from scipy.optimize import linear_sum_assignment

        common = jaccard(labels, previous, shape=(k, len(previous_ids)))
        common = common[:, [i for i, name in enumerate(previous_ids) if name != UNUSUAL]]
        for new, old in zip(*linear_sum_assignment(-common), strict=True):
            if common[new, old] >= STILL_THE_SAME:
                continued[new] = old_ids[old]
    taken = max([last_id, *(int(name.removeprefix("s")) for name in old_ids)])
    ids = []
    for name in continued:
        if name is None:
            taken += 1
        ids.append(name or f"s{taken}")
    return ids, continued


def continuity(
    ours: NDArray[np.object_], theirs: NDArray[np.object_], *, ids: Sequence[str], old_ids: Sequence[str], previous: str
) -> Continuity:
    """How many customers stayed, from the ids of one snapshot's customers by both versions, shapes `(n,)`."""
    kept = {name: float((ours[theirs == name] == name).mean()) for name in old_ids if (theirs == name).any()}
    return Continuity(
        previous,
        len(ours),
        float((ours == theirs).mean()) if len(ours) else 0.0,
        kept,
        tuple(name for name in ids if name not in old_ids),
        tuple(name for name in old_ids if name not in ids),
    )
