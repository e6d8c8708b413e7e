"""What can be compared with what: rows and actions of which an effect can be learned at all.

An action's effect is what it brought beyond the reference action, of those who could have got either. Where the
reference one could not be taken (silence, where a customer asks) there is nothing to count from; where an action never
stood beside it, its customers are another audience, and the difference between audiences is no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from training.response.rows import ResponseRows

FEWEST_OF_AN_ACTION = 50  # customers, and of the reference one beside it; an action with fewer is left out


class TooFewToLearnFrom(CallersMistake):
    """The rows are too few for any response model; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class _Support:
    """The rows whose reference action could be taken.

    Attributes:
        rows: all, with the reference action first.
        is_beside: shape `(n,)`, where it could be taken.
        taken: customers of each action there.
        beside: customers of the reference action where each could be taken.
    """

    rows: ResponseRows
    is_beside: NDArray[np.bool_]
    taken: list[int]
    beside: list[int]

    @property
    def enough(self) -> list[int]:
        """The actions that can be compared; empty where no two can be."""
        fewest = [min(pair) for pair in zip(self.taken, self.beside, strict=True)]
        found = [place for place, count in enumerate(fewest) if count >= FEWEST_OF_AN_ACTION]
        return found if 0 in found and len(found) > 1 else []

    def left_out(self, enough: list[int]) -> dict[str, int]:
        """How many rows are none to learn from, and customers of an action, by the reason."""
        rows, told = self.rows, dict[str, int]()
        if not self.is_beside.all():
            told[f"'{rows.actions[0].action_id}', from which effects are counted, could not be done"] = int(
                (~self.is_beside).sum()
            )
        for place, action in enumerate(rows.actions):
            if place in enough:
                continue
            rare = self.taken[place] < FEWEST_OF_AN_ACTION
            anywhere = _customers(rows, rows.action == place)
            if rare and anywhere < FEWEST_OF_AN_ACTION:
                told[f"of '{action.action_id}', too few"] = anywhere
            else:
                told[f"of '{action.action_id}', too few where '{rows.actions[0].action_id}' was done too"] = anywhere
        return told


def worth_learning(rows: ResponseRows) -> tuple[ResponseRows, NDArray[np.intp]]:
    """The rows of actions that can be compared with the first of them, and where they stood.

    Effects are counted from the first action where enough customers got it, else from the one that most got; of several
    that would do, from the first with which another can be compared.

    Raises:
        TooFewToLearnFrom: no two actions can be compared.
    """
    by_customers = [_customers(rows, rows.action == place) for place in range(len(rows.actions))]
    firsts = sorted(range(1, len(rows.actions)), key=lambda place: -by_customers[place])
    for first in (0, *firsts):
        support = _support_of(_with_first(rows, first))
        if support.enough:
            return _kept(support, support.enough)
    told = ", ".join(f"'{one.action_id}': {n}" for one, n in zip(rows.actions, by_customers, strict=True))
    others = "".join(f" Left out before: {n:,}, {why}." for why, n in rows.left_out.items())
    raise TooFewToLearnFrom(
        f"Asked to learn what actions bring from {len(rows):,} decisions; customers by action: {told}. At least "
        f"{FEWEST_OF_AN_ACTION} of '{rows.actions[0].action_id}' (or of whatever else effects are to be counted from) "
        f"and of one other action are needed, among decisions where both could be done.{others} Wait, hold out or "
        "explore a larger share, or learn from a past campaign: rapport evaluate response."
    )


def _support_of(rows: ResponseRows) -> _Support:
    n = len(rows.actions)
    is_beside = np.ones(len(rows), dtype=np.bool_) if rows.available is None else rows.available[:, 0]
    taken = [_customers(rows, is_beside & (rows.action == place)) for place in range(n)]
    if rows.available is None:
        return _Support(rows, is_beside, taken, [taken[0]] * n)
    reference = is_beside & (rows.action == 0)
    return _Support(rows, is_beside, taken, [_customers(rows, reference & rows.available[:, at]) for at in range(n)])


def _kept(support: _Support, enough: list[int]) -> tuple[ResponseRows, NDArray[np.intp]]:
    rows = support.rows
    places = np.flatnonzero(support.is_beside & np.isin(rows.action, enough)).astype(np.intp)
    if len(places) == len(rows) and len(enough) == len(rows.actions):
        return rows, places
    index = np.full(len(rows.actions), -1, dtype=np.intp)
    index[enough] = np.arange(len(enough))
    kept = rows.taken(places)
    if kept.probabilities is None:
        # Each of the other actions is a little more frequent; of each row alone it is not known by how much.
        share = np.full(len(kept), len(kept) / int(support.is_beside.sum()))
    else:
        share = kept.probabilities[:, enough].sum(axis=1)
    return replace(
        kept,
        action=index[kept.action],
        propensity=np.minimum(kept.propensity / share, 1.0),
        actions=tuple(rows.actions[place] for place in enough),
        available=None if kept.available is None else kept.available[:, enough],
        probabilities=None if kept.probabilities is None else kept.probabilities[:, enough] / share[:, np.newaxis],
        left_out=rows.left_out | support.left_out(enough),
    ), places


def _with_first(rows: ResponseRows, first: int) -> ResponseRows:
    """The same, with that action first."""
    if first == 0:
        return rows
    order = [first, *(place for place in range(len(rows.actions)) if place != first)]
    index = np.empty(len(order), dtype=np.intp)
    index[order] = np.arange(len(order))
    return replace(
        rows,
        action=index[rows.action],
        actions=tuple(rows.actions[place] for place in order),
        available=None if rows.available is None else rows.available[:, order],
        probabilities=None if rows.probabilities is None else rows.probabilities[:, order],
    )


def _customers(rows: ResponseRows, which: NDArray[np.bool_]) -> int:
    return len(np.unique(rows.cluster[which]))
