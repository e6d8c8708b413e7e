"""Today's customers with one input spread as on the training day, each moved no farther than that needs.

A number keeps its rank, x' = Q_then(F_now(x)): whoever was the tenth longest away stays the tenth longest away. What
is unknown, and what is a category, has no rank: there only the surplus share moves, and a seed says who. So an input
that has not moved stays as it is. Dealing the old values at random would give everybody somebody else's: that measures
how much a model needs an input (permutation importance), not what came of its drift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.drift.spread import Spread


def as_it_was(then: Spread, values: NDArray[np.float32], *, rng: np.random.Generator) -> NDArray[np.float32]:
    """The values of today's customers, spread as those of the reference.

    Args:
        then: the reference.
        values: of today, shape `(n,)`, NaN where unknown.
        rng: says who of those who are alike moves.

    Returns:
        Shape `(n,)`: as many unknown as then, the known in the reference's cells as often as then. Within a cell stands
        what today's customers have there; where none of them is, the cell's upper end.
    """
    moved = values.copy()
    was_known = ~np.isnan(values)
    stay, new = _who_is_known(then, was_known, rng=rng)
    moved[:] = np.nan
    own = np.full(len(values), -1)
    own[was_known] = then.cells(values[was_known])
    cell = own.copy()
    if then.is_category:
        cell[stay] = _surplus_moved(own[stay], _shared_out(then.counts, len(stay)), rng=rng)
    else:
        stay = stay[np.lexsort((rng.random(len(stay)), values[stay]))]
        cell[stay] = np.repeat(np.arange(len(then.counts)), _shared_out(then.counts, len(stay)))
    cell[new] = np.repeat(np.arange(len(then.counts)), _shared_out(then.counts, len(new)))
    moved[stay] = values[stay]
    for one in np.unique(cell[cell != own]):
        everybody = np.concatenate([stay[cell[stay] == one], new[cell[new] == one]])
        there = np.sort(values[own == one])
        place = ((np.arange(len(everybody)) + 0.5) / len(everybody) * len(there)).astype(np.intp)
        put = there[place] if len(there) else np.full(len(everybody), then.ends[one], dtype=np.float32)
        comes = own[everybody] != one
        moved[everybody[comes]] = put[comes]
    return moved


def _who_is_known(
    then: Spread, was_known: NDArray[np.bool_], *, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Who stays known, and who becomes so, in no order: as many together as then."""
    known, unknown = (rng.permutation(np.flatnonzero(of)) for of in (was_known, ~was_known))
    n_known = len(was_known) - round(then.unknown_rate * len(was_known))
    return known[:n_known], unknown[: max(n_known - len(known), 0)]


def _surplus_moved(own: NDArray[np.intp], wanted: NDArray[np.intp], *, rng: np.random.Generator) -> NDArray[np.intp]:
    """The cells of customers who stay where no more are than wanted; the others go to where some lack."""
    cell = own.copy()
    have = np.bincount(own, minlength=len(wanted))
    goes = [
        rng.permutation(np.flatnonzero(own == one))[: have[one] - wanted[one]] for one in np.flatnonzero(have > wanted)
    ]
    lacking = np.repeat(np.arange(len(wanted)), np.maximum(wanted - have, 0))
    if goes:
        cell[np.concatenate(goes)] = rng.permutation(lacking)
    return cell


def _shared_out(counts: tuple[int, ...], n: int) -> NDArray[np.intp]:
    """So many customers over the cells as the reference has them, by the largest remainders: `n` together."""
    total = sum(counts)
    if not total:
        return np.zeros(len(counts), dtype=np.intp)
    exact = np.array(counts) * (n / total)
    whole = np.floor(exact).astype(np.intp)
    most = np.argsort(whole - exact, kind="stable")[: n - int(whole.sum())]
    whole[most] += 1
    return whole
