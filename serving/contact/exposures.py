"""Reports that the customer could see what was deferred: made ready for the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from features.erased_rows import is_erased_decision
from features.parts import Instant
from serving.contact.store import expose
from serving.contact.windows import to_instant, to_us
from serving.refusals import NotFound, RequestRefused, WrongField, shown

CLOCKS_DIFFER = timedelta(minutes=5)
EXPOSED, NOTHING_COUNTED, ERASED = "exposed", "nothing_counted", "erased"


class ExposureReport(BaseModel):
    """When the customer could see a decision, or one slot of its list."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    exposed_at: Instant | None = Field(None, description="With its zone; now where it is left out.")
    slot: Annotated[int, Field(ge=0, lt=50)] | None = Field(
        None, description="One of a ranked list, from 0; all of them where it is left out."
    )


def exposing(
    decision_id: str, report: ExposureReport, *, at: datetime
) -> Callable[[sqlite3.Connection], dict[str, Any]]:
    """The ledger's work that exposes a decision and says what became of it.

    Args:
        decision_id: as the caller has it.
        report: what they say.
        at: when it arrived.

    Raises:
        RequestRefused: now, where it lies in the future; the work raises it for an instant before the decision and for
            a slot that its list does not have, and NotFound for a decision that is not there.
    """
    exposed_at = (report.exposed_at or at).astimezone(UTC)
    if exposed_at > at + CLOCKS_DIFFER:
        rule = f"lies in the future: it is {at.isoformat()} here. Send the instant with its zone, or leave it out."
        raise RequestRefused([WrongField("/exposed_at", rule)])

    def work(connection: sqlite3.Connection) -> dict[str, Any]:
        query = "SELECT decided_at, coalesce(json_array_length(slots), 1) FROM decisions WHERE decision_id = ?"
        row = connection.execute(query, (decision_id,)).fetchone()
        if row is None:
            if is_erased_decision(connection, decision_id):
                return {"decision_id": decision_id, "status": ERASED, "slots": []}
            rule = f"there is no decision '{shown(decision_id)}'. Send the id that POST /v1/decisions answered with."
            raise NotFound([WrongField("/decision_id", rule)])
        if exposed_at < to_instant(row[0]) - CLOCKS_DIFFER:
            rule = f"comes before the decision, which was made at {to_instant(row[0]).isoformat()}."
            raise RequestRefused([WrongField("/exposed_at", rule)])
        if report.slot is not None and report.slot >= (n_slots := max(row[1], 1)):
            raise RequestRefused([WrongField("/slot", f"this decision has slots 0 to {n_slots - 1}.")])
        slots = expose(connection, decision_id, at_us=max(to_us(exposed_at), row[0]), slot=report.slot)
        told = [{"slot": slot, "over_cap": is_over} for slot, is_over in slots]
        return {"decision_id": decision_id, "status": EXPOSED if told else NOTHING_COUNTED, "slots": told}

    return work
