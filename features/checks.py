"""One named check of `rapport check`: passed, warned or failed, with what that means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

CheckStatus = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: what is checked, as a short sentence, such as "every live file of the lake is there".
        status: PASS, WARN (works, look at it) or FAIL (mend it before anything is built on it).
        meaning: what this status means for the reader: what works, or what would go wrong and what to do.
        detail: the figures or names behind it; empty where there is nothing to add.
    """

    name: str
    status: CheckStatus
    meaning: str
    detail: str = ""

    def as_dict(self) -> dict[str, str]:
        """The result as JSON-ready keys and values."""
        return asdict(self)


def worst_status(results: Iterable[CheckResult]) -> CheckStatus:
    """FAIL where any failed, else WARN where any warned, else PASS."""
    found = {result.status for result in results}
    return "FAIL" if "FAIL" in found else "WARN" if "WARN" in found else "PASS"
