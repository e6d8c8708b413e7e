"""Reports of what happened, made ready for the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from serving.ledger_rows import OutcomeRow, UnknownDecisions
from serving.refusals import NotFound, RequestRefused, WrongField, shown
from serving.schemas import OutcomeReport


def outcome_rows(
    reports: Sequence[OutcomeReport],
    *,
    keys: Mapping[str, int],
    at: datetime,
    new_id: Callable[[datetime], str],
) -> list[OutcomeRow]:
    """The reports as rows.

    Args:
        reports: checked against the brand.
        keys: the key of each customer that is named by id.
        at: when they arrived.
        new_id: makes an id for a report that has none and cannot be told from another.
    """
    return [
        OutcomeRow(
            outcome_id=report.outcome_id or _content_id(report) or new_id(at),
            decision_id=report.decision_id,
            customer_key=keys[report.customer_id] if report.customer_id is not None else None,
            outcome=report.outcome,
            goal=report.goal,
            value=report.value,
            occurred_at=(report.occurred_at or at).astimezone(UTC),
            received_at=at,
        )
        for report in reports
    ]


def _content_id(report: OutcomeReport) -> str | None:
    """An id by content, so that a retry is written once; None where two such reports may both be true.

    A customer's two purchases without an instant look the same and are not; the same outcome of the same decision is.
    """
    if report.decision_id is None and report.occurred_at is None:
        return None
    content = report.model_dump_json(exclude={"outcome_id"})
    canonical = json.dumps(json.loads(content), sort_keys=True)
    return f"c-{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


def refuse_unknown_decisions(unknown: UnknownDecisions, reports: Sequence[OutcomeReport], *, single: bool) -> None:
    """Raises the refusal for outcomes that name decisions which are not in the ledger."""
    faults = [
        WrongField(
            "/decision_id" if single else f"/{position}/decision_id",
            f"there is no decision '{shown(reports[position].decision_id)}'. Send the decision_id that "
            "POST /v1/decisions answered with, or name the customer with customer_id instead.",
        )
        for position in unknown.positions
    ]
    raise (NotFound if single else RequestRefused)(faults)
