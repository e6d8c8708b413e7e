"""Which arm a customer is in, for as long as the brand keeps its salt.

A salted sha256 of the customer is a draw that nobody has to store: the same customer gets the same arm in every
process, on every day and in every placement, and raising `holdout_rate` only adds customers to the holdout.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from experiments.records import HOLDOUT, PERSONALISED
from features.faults import CallersMistake

_DRAW_BYTES = 7  # 56 bits: every value is exact in a float64 after division


@dataclass(frozen=True, slots=True)
class Assignment:
    """A customer's arm, with the probability with which anybody is put into it."""

    arm: str
    arm_probability: float


def assign(customer_key: int, *, salt: str, holdout_rate: float) -> Assignment:
    """The arm of one customer.

    Args:
        customer_key: the internal key of the customer.
        salt: what makes this brand's draw its own; the brand's name unless it says otherwise.
        holdout_rate: the share of customers kept from all personalisation, in [0, 1].

    Returns:
        The arm, `personalised` or `holdout`, and P(this arm).

    Raises:
        CallersMistake: the rate lies outside [0, 1].
    """
    if not 0.0 <= holdout_rate <= 1.0:
        raise CallersMistake(
            f"Asked to hold out a share of {holdout_rate} of all customers. A share lies between 0 and 1: "
            f"set holdout_rate in brand.yaml, for example to 0.1."
        )
    if draw(customer_key, salt=salt) < holdout_rate:
        return Assignment(HOLDOUT, holdout_rate)
    return Assignment(PERSONALISED, 1.0 - holdout_rate)


def draw(customer_key: int, *, salt: str) -> float:
    """The customer's uniform draw in [0, 1), the same for the same salt for ever."""
    digest = hashlib.sha256(f"{salt}\x1f{customer_key}".encode()).digest()
    return int.from_bytes(digest[:_DRAW_BYTES], "big") / float(1 << (8 * _DRAW_BYTES))
