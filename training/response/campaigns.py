"""A past campaign: who was sent what, with which probability, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, closest_name

Floats = NDArray[np.float64]

ORDERED, REVENUE = "ordered", "revenue"
FROM_ORDERS = (ORDERED, REVENUE)
"""Outcomes that need not be measured: whether there was an order within the window, and what orders came to."""
DEFAULT_WINDOW_DAYS = 14.0
MEASURED_OF_ALL = 0.99


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign that was imported.

    Attributes:
        name: as its messages say it.
        actions: rows (messages, controls included) by action id.
        arms: the action id of each arm's messages, by the arm's own name.
        outcomes: how many measurements there are, by outcome.
        first_at: of its messages, aware.
        last_at: of its messages, aware.
    """

    name: str
    actions: Mapping[str, int]
    arms: Mapping[str, str]
    outcomes: Mapping[str, int]
    first_at: datetime
    last_at: datetime

    def action_of(self, name: str) -> str:
        """The action id that an arm's name, or an action's, means; case does not matter where that is not needed.

        Raises:
            CallersMistake: it is neither, with those that there are.
        """
        known = dict(self.arms) | {action: action for action in self.actions}
        if name in known:
            return known[name]
        folded = {key.casefold(): action for key, action in known.items()}
        if name.casefold() in folded:
            return folded[name.casefold()]
        near = closest_name(name, known)
        listed = ", ".join(
            f"'{action}' ({self.actions[action]:,} rows{self._known_as(action)})" for action in self.actions
        )
        raise CallersMistake(
            f"Asked for arm '{name}' of campaign '{self.name}', but none is called that. There are: {listed}."
            + (f" Closest: '{near}'." if near else "")
        )

    def _known_as(self, action: str) -> str:
        names = sorted(arm for arm, of in self.arms.items() if of == action and arm != action)
        return "; arm " + ", ".join(f"'{name}'" for name in names) if names else ""


@dataclass(frozen=True, slots=True)
class Messages:
    """The rows of one campaign, a message (or control) each, by rising time, then customer; every shape `(n,)`.

    Attributes:
        customer_keys: as written: the key under which features of before the message are found.
        persons: who that is known to be today: rows of one person are not independent.
        at_us: microseconds since the epoch, UTC.
        action_ids: what was sent; `nothing` for controls.
        propensity: as declared, NaN where it was not.
        channels: on which it was sent; empty where that is not known.
    """

    customer_keys: NDArray[np.int64]
    persons: NDArray[np.int64]
    at_us: NDArray[np.int64]
    action_ids: NDArray[np.object_]
    propensity: Floats
    channels: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.customer_keys)


@dataclass(frozen=True, slots=True)
class Measured:
    """One outcome of a campaign's messages.

    Attributes:
        value: by message, 0 where nothing was measured.
        window_days: over which it was counted.
        is_complete: whether practically every message has its measurement, so that none is still to come.
    """

    value: Floats
    window_days: float
    is_complete: bool
