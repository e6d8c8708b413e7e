"""Whether departing from the best single action was borne out by customers who did not teach it.

A ranking may be right and the policy wrong: where nearly everybody gains a little, a learner's noise, or a straight
line that leaves the ground, says of some that they would lose. The policy's departures are therefore judged apart, an
action at a time: what those customers brought with it, less what they bring with the best single action, doubly robust,
by folds that did not see them. Where that is a loss, `Usual` is served, and what it leaves is judged again: who does
not get what lost may get a third action. Invariant: where nearly all could get the best single action, every departure
that is left was borne out as it is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.response.policy_value import Estimate, Judge
from training.response.terms import rounded
from training.response.usual import Columns, Usual

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

KNEE = 0.05  # of the best single action's mean effect: what is said above it stays as it was said
MARGIN = 0.01  # of the same: by how much an action that lost is held to be worth less
NEARLY_ALL = 0.9  # of the rows
BEYOND = 1.25  # times the lowest effect that was said of anybody: who comes later may be a little beyond


@dataclass(frozen=True, slots=True)
class Departure:
    """Customers to whom the policy gives another action than the best single one.

    Attributes:
        action: the place of what they get; 0 is the reference one.
        n: rows.
        gain: a row of all, beyond what the best single action would have earned.
    """

    action: int
    n: int
    gain: Estimate

    @property
    def is_borne_out(self) -> bool:
        """Whether they gained by it. No more is asked: a loss and a gain of that size cost the same."""
        return self.gain.value > 0.0

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {"action": self.action, "n": self.n, "gain": self.gain.as_dict(), "borne_out": self.is_borne_out}


def departures_of(judge: Judge, effects: Floats, *, single: int) -> tuple[Departure, ...]:
    """Where the policy of these effects departs from an action that could be taken, by what is taken instead.

    Args:
        judge: of the rows.
        effects: by folds that did not see the row's customer, `(n, n_actions - 1)`.
        single: the place of the best single action.
    """
    policy = judge.best(effects)
    could = judge.could()[:, single - 1]
    usual = judge.of_policy(np.full(len(policy), single, dtype=np.intp))
    gains = judge.of_policy(policy) - usual
    found = []
    for action in np.unique(policy[could & (policy != single)]).tolist():
        rows = could & (policy == action)
        found.append(Departure(action, int(rows.sum()), judge.mean(np.where(rows, gains, 0.0))))
    return tuple(found)


def usual_for(
    judge: Judge, effects: Floats, *, single: int, taught: Floats, share: float
) -> tuple[Usual | None, tuple[Departure, ...]]:
    """What is to be served of the best single action, and what was measured; None where all departures were borne out.

    Args:
        judge: of the rows.
        effects: by folds that did not see the row's customer, `(n, n_actions - 1)`.
        single: the place of the best single action.
        taught: what the model to be served says of the same rows, `(n, n_actions - 1)`.
        share: of the rows, those that got it, as the base counts them.
    """
    if single == 0:
        return None, ()
    found = {one.action: one for one in departures_of(judge, effects, single=single)}
    could = judge.could()[:, single - 1]
    level = float(judge.effects()[could, single - 1].mean())
    if level <= 0.0:
        return None, tuple(found.values())
    while True:
        usual = _usual(judge, effects, found, single=single, taught=taught, share=share, level=level)
        lost = {place for place, one in found.items() if not one.is_borne_out}
        # Whoever is no longer given what lost is given the next best, which is a departure of others than before.
        now = {one.action: one for one in departures_of(judge, with_usual(usual, effects), single=single)}
        found |= {place: one for place, one in now.items() if place not in lost}
        if all(one.is_borne_out for place, one in now.items() if place not in lost):
            return usual, tuple(found[place] for place in sorted(found))


def _usual(
    judge: Judge,
    effects: Floats,
    found: Mapping[int, Departure],
    *,
    single: int,
    taught: Floats,
    share: float,
    level: float,
) -> Usual | None:
    """What no longer says what was not borne out; None where all was."""
    could = judge.could()[:, single - 1]
    borne_out = {place for place, one in found.items() if one.is_borne_out}
    lowest = min(float(said[could, single - 1].min()) for said in (effects, taught))
    # Where nobody of these rows was to be left alone, somebody later may be: that was borne out just as little.
    knee = None if 0 in borne_out or lowest > 0.0 else rounded(KNEE * level)
    slope = 1.0 if knee is None else rounded(knee / (knee - BEYOND * lowest + MARGIN * knee))
    others = found.keys() | _somebodys(judge, effects, taught, single=single)
    held = tuple(sorted(others - borne_out - {0, single}))
    if could.mean() < NEARLY_ALL:
        held = ()  # many could not get the best single action, and what is said of it for them is a guess
    if knee is None and not held:
        return None
    return Usual(single, share, knee, slope, held, rounded(MARGIN * level))


def _somebodys(judge: Judge, effects: Floats, taught: Floats, *, single: int) -> set[int]:
    """The actions that somebody would get by either, where the best single one could be taken."""
    could = judge.could()[:, single - 1]
    return {int(action) for said in (effects, taught) for action in np.unique(judge.best(said)[could])}


def with_usual(usual: Usual | None, effects: Floats) -> Floats:
    """Effects of every action but the reference one, `(n, n_actions - 1)`, as they are served."""
    if usual is None:
        return effects
    made = effects.copy()
    columns = Columns(np.array([usual.action - 1]), np.array([place - 1 for place in usual.held], dtype=np.intp))
    usual.put_into(np.zeros(len(made)), made, effects[:, usual.action - 1], columns)
    return made
