"""Half of the say to Pareto/NBD at the level of its own, where the held-back window did not show it to be worse.

What is learned of one closed window has that window's level; Pareto/NBD, fitted to the whole history, has a level that
no window has taught. Where the two cannot be told apart by the window that chooses, as in small or sparse shops, their
mean in log-odds errs less than either. It is written as members, weights and a line again, so whoever serves a head
knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from training.calibration import IDENTITY, Calibration, FloatArray
from training.linear import rounded
from training.members import BESIDE, REPEAT_BUYING, Members
from training.pareto_nbd import ParetoNbd

HALF = 0.5
LINE = "platt"


def halved(members: Members, calibration: Calibration, pareto: ParetoNbd) -> tuple[Members, Calibration]:
    """Members and the line that say the mean of what these say, and of what Pareto/NBD says by itself, in log-odds.

    Args:
        members: with their offsets and weights.
        calibration: a line.
        pareto: fitted to everything that is known.

    Raises:
        ValueError: the calibration is no line.
    """
    if calibration.line is None:
        raise ValueError(f"Asked for half of a calibration that is no line: '{calibration.kind}'.")
    at, level, slope = calibration.line
    place = REPEAT_BUYING if isinstance(members.repeat_buying, ParetoNbd) else BESIDE
    shares = _shares(members)
    said = {name: (1 - HALF) * slope * share for name, share in shares.items()}
    of_pareto = said.get(place, 0.0)
    offset = of_pareto * members.offsets.get(place, 0.0) / (of_pareto + HALF)  # its own half is moved by nothing
    said[place] = of_pareto + HALF
    loud = sum(said.values())
    weights = dict(zip(said, rounded(np.array([say / loud for say in said.values()])), strict=True))
    offsets = {name: members.offsets.get(name, 0.0) for name in said} | {place: round(offset, 9)}
    start = (1 - HALF) * (level - slope * at)
    line = Calibration(LINE, IDENTITY.x, rounded(np.array([start, start + loud])), extend=True)
    silent = level + slope * (members.silent - at)  # as before: nobody says anything of them, nor does Pareto/NBD
    with_it = replace(members, offsets=offsets, weights=weights, silent=round((silent - start) / loud, 9))
    return (with_it if place == REPEAT_BUYING else replace(with_it, beside=pareto)), line


def halfway(calibrated: FloatArray, by_itself: FloatArray) -> FloatArray:
    """The mean of the two in log-odds, shape `(n,)`; of whom Pareto/NBD says nothing, what was calibrated."""
    return np.where(np.isfinite(by_itself), (1 - HALF) * calibrated + HALF * by_itself, calibrated)


def _shares(members: Members) -> Mapping[str, float]:
    says = {name: members.say(name) for name in members.offsets}
    return {name: say / sum(says.values()) for name, say in says.items()}
