"""Reports of what happened, made ready for the ledger."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from features.brand import Brand
from features.catalogue import Catalogue
from features.identity import IdentityTable
from serving.joining.machines import machine_called
from serving.joining.tokens import Said, TokenMint
from serving.outcome_checks import outcome_of, refuse_wrong_outcomes
from serving.outcome_effects import REFUSED
from serving.outcome_rows import BY_TOKEN, CONVERTED, FAILED, OutcomeRow, Recorded, WrongOutcomes, write_outcomes
from serving.refusals import NotFound, RequestRefused, WrongField, shown
from serving.schemas import OutcomeReport


def recording(
    reports: Sequence[OutcomeReport],
    *,
    brand: Brand,
    catalogue: Catalogue,
    mint: TokenMint,
    at: datetime,
    new_id: Callable[[datetime], str],
    single: bool,
) -> Callable[[sqlite3.Connection], list[Recorded]]:
    """The ledger's work that writes these reports, all or none.

    Args:
        reports: as they came.
        brand: whose goals and attribution window hold.
        catalogue: whose actions have goals.
        mint: that reads their tokens.
        at: when they arrived.
        new_id: makes an id for a report that has none and cannot be told from another.
        single: whether they came as one object and not as a list, for pointers into it.

    Raises:
        RequestRefused: now, with everything wrong in any of them; the work raises it for what only decisions tell.
    """
    said = refuse_wrong_outcomes(reports, brand, mint=mint, at=at, single=single)
    goals_of = {action.id: action.goal for action in catalogue.actions}

    def work(connection: sqlite3.Connection) -> list[Recorded]:
        named = [report.customer_id for report in reports if report.customer_id is not None]
        keys = IdentityTable(connection).keys_said(named) if named else {}
        rows = [
            _row(report, token, keys=keys, at=at, new_id=new_id) for report, token in zip(reports, said, strict=True)
        ]
        try:
            return write_outcomes(
                connection,
                rows,
                attribution=timedelta(days=brand.rewards.attribution_days),
                goals_of=goals_of,
                default_goal=next(iter(brand.goals)),
            )
        except WrongOutcomes as wrong:
            raise _refusal(wrong, reports, single=single) from None

    return work


def moves_rates(recorded: Iterable[Recorded]) -> bool:
    """Whether the next decision is to know of it: a success, or a message that was none.

    Nearly all that is reported (sent, delivered, read, clicked) moves no rate, and reading them anew with everything
    that is remembered of values would cost the next decision as much as it costs itself.
    """
    return any(
        one.outcome in (CONVERTED, FAILED) and one.status == "recorded" and one.decision_id is not None
        for one in recorded
    )


def _row(
    report: OutcomeReport,
    said: Said | None,
    *,
    keys: Mapping[str, int],
    at: datetime,
    new_id: Callable[[datetime], str],
) -> OutcomeRow:
    row = OutcomeRow(
        outcome_id=report.outcome_id or _content_id(report) or new_id(at),
        decision_id=report.decision_id,
        customer_key=keys[report.customer_id] if report.customer_id is not None else None,
        outcome=outcome_of(report, said) or "",
        goal=report.goal,
        value=report.value,
        occurred_at=(report.occurred_at or at).astimezone(UTC),
        received_at=at,
        slot=report.slot,
        reason=report.reason or report.code,
        retry_after_seconds=report.retry_after_seconds,
        coupon_code=report.coupon_code,
        is_reported=True,
        is_machine=_is_machine(report),
    )
    if said is None:
        return row
    reason = row.reason or (said.reason if row.outcome == REFUSED else None)
    return replace(row, decision_id=said.decision_id, slot=said.slot, joined_by=BY_TOKEN, reason=reason)


def _is_machine(report: OutcomeReport) -> bool:
    return report.is_machine or (bool(report.user_agent) and machine_called(report.user_agent or "") is not None)


def _content_id(report: OutcomeReport) -> str | None:
    """An id by content, so that a retry is written once; None where two such reports may both be true.

    A customer's two purchases without an instant look the same and are not; the same outcome of the same decision is,
    unless a machine did one of them and a person the other.
    """
    if report.customer_id is not None and report.occurred_at is None:
        return None
    content = json.loads(report.model_dump_json(exclude={"outcome_id", "user_agent"}))
    canonical = json.dumps(content | {"is_machine": _is_machine(report)}, sort_keys=True)
    return f"c-{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


def _refusal(wrong: WrongOutcomes, reports: Sequence[OutcomeReport], *, single: bool) -> RequestRefused:
    faults = [_unknown(reports[position], "" if single else f"/{position}") for position in wrong.positions]
    faults += [WrongField(f"{'' if single else f'/{at}'}{pointer}", rule) for at, pointer, rule in wrong.faults]
    return (NotFound if single and wrong.positions else RequestRefused)(faults)


def _unknown(report: OutcomeReport, prefix: str) -> WrongField:
    if report.coupon_code is not None:
        rule = f"'{shown(report.coupon_code)}' was given out by no decision. Send the code as the customer had it."
        return WrongField(f"{prefix}/coupon_code", rule)
    if report.token is not None:
        rule = "is of a decision that is not in this ledger: of another workspace, or from before it was emptied."
        return WrongField(f"{prefix}/token", rule)
    return WrongField(
        f"{prefix}/decision_id",
        f"there is no decision '{shown(report.decision_id)}'. Send the decision_id that "
        "POST /v1/decisions answered with, or name the customer with customer_id instead.",
    )
