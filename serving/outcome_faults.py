"""What is wrong with an outcome that its decision alone can tell: a slot that it does not have, an instant before it.

WrongOutcomes (CallersMistake)       outcomes that their decisions cannot have had
└── UnknownDecisions                 outcomes that name decisions or coupon codes which are not in the ledger
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from features.faults import CallersMistake
from serving.contact.windows import to_instant

CLOCKS_DIFFER_US = 5 * 60 * 1_000_000


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


def instant_fault(position: int, at_us: int, *, decided_at: int) -> list[OutcomeFault]:
    """An outcome before its decision, by more than clocks differ."""
    if at_us >= decided_at - CLOCKS_DIFFER_US:
        return []
    rule = f"comes before the decision, which was made at {to_instant(decided_at).isoformat()}. Send when it happened."
    return [OutcomeFault(position, "/occurred_at", rule)]


def by_our_clock(at_us: int, *, decided_at: int) -> int:
    """When it happened: at the decision at the earliest, where no more than the clocks differ."""
    return decided_at if decided_at - CLOCKS_DIFFER_US <= at_us < decided_at else at_us


def slot_fault(position: int, slot: int | None, *, n_slots: int) -> list[OutcomeFault]:
    """A slot that the decision does not have."""
    if slot is None or slot < n_slots:
        return []
    has = (
        "one action: leave the slot out" if n_slots == 1 else f"{n_slots} actions: send a slot from 0 to {n_slots - 1}"
    )
    return [OutcomeFault(position, "/slot", f"is {slot}, but this decision has {has}.")]
