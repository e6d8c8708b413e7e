"""A question that cannot be answered as it was asked, with every reason at once.

RequestRefused (CallersMistake)    422, every field that is wrong
├── NotFound                       404, it asks for something that is not there
└── Conflict                       409, an id that already stands for something else
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.faults import CallersMistake, closest_name


@dataclass(frozen=True, slots=True)
class WrongField:
    """One field, what is wrong with its value, the rule, what to do."""

    pointer: str  # RFC 6901, into the body
    detail: str

    def __str__(self) -> str:
        if self.pointer:
            return f"{self.pointer}: {self.detail}"
        return f"the body {self.detail}" if self.detail.startswith(("is ", "holds ")) else self.detail


class RequestRefused(CallersMistake):
    """The caller's mistake, field by field."""

    status = 422
    title = "The request is not valid."

    def __init__(self, faults: Sequence[WrongField]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class NotFound(RequestRefused):
    """It asks for something that is not there."""

    status = 404
    title = "Not found."


class Conflict(RequestRefused):
    """An id that already stands for something else."""

    status = 409
    title = "This id was already used."


SHOWN = 80


def unknown_name(pointer: str, name: str, *, kind: str, names: Sequence[str]) -> WrongField:
    """The fault of a name that brand.yaml does not have, with the closest one that it has."""
    closest = closest_name(name, names)
    hint = f" Closest: '{closest}'." if closest else ""
    return WrongField(pointer, f"there is no {kind} '{shown(name)}'.{hint} There are: {', '.join(sorted(names))}.")


def shown(value: object) -> str:
    """A value as a message may repeat it: cut where it is long."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
