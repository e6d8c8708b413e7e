"""What is wrong with an outcome that its decision alone can tell: a slot that it does not have.

WrongOutcomes (CallersMistake)       outcomes that their decisions cannot have had
└── UnknownDecisions                 outcomes that name decisions or coupon codes which are not in the ledger
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from features.faults import CallersMistake


class OutcomeFault(NamedTuple):
    """What is wrong with one report of a list."""

    position: int
    pointer: str
    rule: str


class WrongOutcomes(CallersMistake):
    """Outcomes that their decisions cannot have had; nothing was written.

    Attributes:
        faults: of those whose decision is there.
        positions: of those whose decision is not there.
    """

    def __init__(self, faults: Sequence[OutcomeFault], *, positions: Sequence[int] = ()) -> None:
        super().__init__(faults, positions)
        self.faults = tuple(faults)
        self.positions = tuple(positions)


class UnknownDecisions(WrongOutcomes):
    """Outcomes that name decisions which are not in the ledger; `positions` are theirs in the report."""


def slot_fault(position: int, slot: int | None, *, n_slots: int) -> list[OutcomeFault]:
    """A slot that the decision does not have."""
    if slot is None or slot < n_slots:
        return []
    has = (
        "one action: leave the slot out" if n_slots == 1 else f"{n_slots} actions: send a slot from 0 to {n_slots - 1}"
    )
    return [OutcomeFault(position, "/slot", f"is {slot}, but this decision has {has}.")]
