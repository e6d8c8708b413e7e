"""Which rates a decision looked up: a question looks at those of other segments and of actions that are kept away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving.values import EstimatedRate, Rates

Used = tuple[str, str, str, float, float, int, float]  # action, segment, stage, rate, n_decided, n_converted, prior
_NEVER_COUNTED = EstimatedRate(0.0, 0.0, 0, 0.0)


class UsedRates(Rates):
    """The same rates, and a note of each that was asked for."""

    def __init__(self, rates: Rates) -> None:
        self._of = rates
        self._used: dict[tuple[str, str, str], EstimatedRate] = {}

    def rate(self, action_id: str, *, segment: str | None, stage: str) -> EstimatedRate:
        """As the rates have it."""
        found = self._of.rate(action_id, segment=segment, stage=stage)
        self._used[action_id, segment or "", stage] = found
        return found

    def used(self) -> list[Used]:
        """Every rate that was asked for."""
        return [(*key, one.rate, one.n_decided, one.n_converted, one.prior) for key, one in sorted(self._used.items())]


class RecordedRates(Rates):
    """The rates that a decision was made by; where it noted none, nothing was counted.

    Args:
        record: whose candidates have the rates of the customer's own segment and stage.
        used: those that were noted beside it.
    """

    def __init__(self, record: Mapping[str, Any], used: Iterable[Used] = ()) -> None:
        self._recorded = {
            one["action_id"]: EstimatedRate(one["rate"], one["n_decided"], one["n_converted"], one["prior"])
            for one in record["candidates"]
        }
        self._used = {(one[0], one[1], one[2]): EstimatedRate(*one[3:]) for one in used}

    def rate(self, action_id: str, *, segment: str | None, stage: str) -> EstimatedRate:
        """As recorded."""
        return self.known(action_id, segment=segment, stage=stage) or _NEVER_COUNTED

    def known(self, action_id: str, *, segment: str | None, stage: str) -> EstimatedRate | None:
        """As recorded; None where the decision did not look."""
        noted = self._used.get((action_id, segment or "", stage))
        return self._recorded.get(action_id) if noted is None else noted
