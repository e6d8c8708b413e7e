"""Which arm a customer is in, for as long as the brand keeps its salt.

A salted sha256 of the customer is a draw that nobody has to store: the same customer gets the same arm in every
process, on every day and in every placement, and raising `holdout_rate` only adds customers to the holdout. Whoever is
not held out is drawn once more, by the experiment's own salt, into one of its arms: each of them is a policy, and all
of them are personalised.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from experiments.records import HOLDOUT, PERSONALISED
from features.brand import Experiment
from features.faults import CallersMistake

_DRAW_BYTES = 7  # 56 bits: every value is exact in a float64 after division


@dataclass(frozen=True, slots=True)
class Assignment:
    """A customer's arm, with the probability with which anybody is put into it.

    Attributes:
        arm: `holdout`, `personalised`, or the name of an arm of the experiment.
        arm_probability: P(this arm) of anybody, held out or not.
        experiment: whose arm it is; None where it is no experiment's.
        holdout_rate: P(held out) when this was drawn; None where nobody said.
    """

    arm: str
    arm_probability: float
    experiment: str | None = None
    holdout_rate: float | None = None


def assign(customer_key: int, *, salt: str, holdout_rate: float, experiment: Experiment | None = None) -> Assignment:
    """The arm of one customer.

    Args:
        customer_key: the internal key of the customer.
        salt: what makes this brand's draw its own; the brand's name unless it says otherwise.
        holdout_rate: the share of customers kept from all personalisation, in [0, 1].
        experiment: whose arms the others are drawn into; without it they are all `personalised`.

    Returns:
        The arm and P(this arm).

    Raises:
        CallersMistake: the rate lies outside [0, 1].
    """
    if not 0.0 <= holdout_rate <= 1.0:
        raise CallersMistake(
            f"Asked to hold out a share of {holdout_rate} of all customers. A share lies between 0 and 1: "
            f"set holdout_rate in brand.yaml, for example to 0.1."
        )
    if draw(customer_key, salt=salt) < holdout_rate:
        return _assignment(HOLDOUT, holdout_rate, None, holdout_rate)
    if experiment is None:
        return _assignment(PERSONALISED, 1.0 - holdout_rate, None, holdout_rate)
    name, share = _arm(draw(customer_key, salt=_salt_of(experiment)), experiment)
    return _assignment(name, (1.0 - holdout_rate) * share, experiment.name, holdout_rate)


_assignment = lru_cache(maxsize=256, typed=True)(Assignment)  # a brand has few arms


def draw(customer_key: int, *, salt: str) -> float:
    """The customer's uniform draw in [0, 1), the same for the same salt for ever."""
    digest = hashlib.sha256(f"{salt}\x1f{customer_key}".encode()).digest()
    return int.from_bytes(digest[:_DRAW_BYTES], "big") / float(1 << (8 * _DRAW_BYTES))


def _salt_of(experiment: Experiment) -> str:
    """Never a brand's own salt: a draw that held somebody out says nothing of the arm that another draw gives."""
    return f"experiment\x1f{experiment.name}"


def _arm(drawn: float, experiment: Experiment) -> tuple[str, float]:
    """The arm that a draw falls into, in the order of the file, with its share; shares that miss 1 are put right."""
    whole = sum(arm.share for arm in experiment.arms.values())
    *names, last = experiment.arms
    cumulated = 0.0
    for name in names:
        share = experiment.arms[name].share / whole
        cumulated += share
        if drawn < cumulated:
            return name, share
    return last, experiment.arms[last].share / whole
