"""Why an offer may not be made just now: by which rule, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REFUSED = "refused"
CARRIER_LIMIT = "carrier_limit"
QUIET_HOURS = "quiet_hours"
FREQUENCY_CAP = "frequency_cap"
BUDGET = "budget"
NO_COUPON_CODE = "no_coupon_code"


@dataclass(frozen=True, slots=True)
class Block:
    """A rule that keeps an offer away at an instant, and until when it does; None: for ever, or nobody knows."""

    rule: str
    detail: str
    until_us: int | None
    counter: Mapping[str, Any] | None = None
