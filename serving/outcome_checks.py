"""Reports of outcomes checked against the brand: every fault of every one of them, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from features.brand import Brand
from serving.joining.tokens import Said, TokenMint
from serving.outcome_effects import CLICKED, CONVERTED, FAILED, OPENED, REFUSED
from serving.refusals import RequestRefused, WrongField, unknown_name
from serving.schemas import OutcomeReport

CLOCKS_DIFFER = timedelta(hours=24)
_REFERENCES = ("decision_id", "token", "coupon_code", "customer_id")
_ONLY_OF = {
    "goal": (CONVERTED,),
    "value": (CONVERTED,),
    "currency": (CONVERTED,),
    "reason": (REFUSED,),
    "code": (FAILED,),
    "retry_after_seconds": (FAILED,),
    "user_agent": (OPENED, CLICKED),
}


def refuse_wrong_outcomes(
    reports: Sequence[OutcomeReport], brand: Brand, *, mint: TokenMint, at: datetime, single: bool
) -> list[Said | None]:
    """What the token of each report says, None where it has none.

    Args:
        reports: as they came.
        brand: whose goals they name.
        mint: that reads tokens.
        at: when they arrived.
        single: whether they came as one object and not as a list, for pointers into it.

    Raises:
        RequestRefused: with everything wrong in any of the reports.
    """
    said = [mint.read(report.token) if report.token is not None else None for report in reports]
    faults = []
    for position, (report, token) in enumerate(zip(reports, said, strict=True)):
        prefix = "" if single else f"/{position}"
        faults += [
            WrongField(f"{prefix}{fault.pointer}", fault.detail)
            for fault in (*_reference_faults(report, token), *_content_faults(report, token, brand, at=at))
        ]
    if faults:
        raise RequestRefused(faults)
    return said


def outcome_of(report: OutcomeReport, said: Said | None) -> str | None:
    """What happened: as the report says, else as its token or its coupon code does."""
    if report.outcome is not None:
        return report.outcome
    if said is not None:
        return said.outcome
    return "redeemed" if report.coupon_code is not None else None


def _reference_faults(report: OutcomeReport, said: Said | None) -> list[WrongField]:
    named = [name for name in _REFERENCES if getattr(report, name) is not None]
    faults = []
    if len(named) != 1:
        rule = (
            "name the decision (best), by decision_id, token or coupon_code, or the customer: exactly one of "
            f"{', '.join(_REFERENCES)}."
        )
        faults.append(WrongField(f"/{named[1] if named else _REFERENCES[0]}", rule))
    if report.slot is not None and report.decision_id is None:
        faults.append(WrongField("/slot", "belongs beside a decision_id: a token and a coupon code know theirs."))
    if report.token is not None and said is None:
        rule = (
            "was not made here, or was changed on its way. Send the payload of the button, or the rapport_token of the "
            "link, exactly as it was; else name the decision with decision_id."
        )
        faults.append(WrongField("/token", rule))
    return faults


def _content_faults(report: OutcomeReport, said: Said | None, brand: Brand, *, at: datetime) -> list[WrongField]:
    outcome = outcome_of(report, said)
    faults = []
    if outcome is None and (report.token is None or said is not None):
        faults.append(WrongField("/outcome", "is missing; only a token or a coupon code says it by itself."))
    if report.goal is not None and report.goal not in brand.goals:
        faults.append(unknown_name("/goal", report.goal, kind="goal", names=list(brand.goals)))
    for name, outcomes in _ONLY_OF.items():
        if outcome is not None and outcome not in outcomes and getattr(report, name) is not None:
            rule = f"belongs to {_named(outcomes)} only, but the outcome is '{outcome}'."
            faults.append(WrongField(f"/{name}", rule))
    if report.currency is not None and report.currency != brand.currency:
        rule = (
            f"is '{report.currency}', but this brand counts in {brand.currency}: convert the value before you send it."
        )
        faults.append(WrongField("/currency", rule))
    if report.occurred_at is not None and report.occurred_at > at + CLOCKS_DIFFER:
        rule = f"lies in the future: it is {at.isoformat()} here. Send the instant with its zone, or leave it out."
        faults.append(WrongField("/occurred_at", rule))
    return faults


def _named(outcomes: Sequence[str]) -> str:
    quoted = " or ".join(f"'{outcome}'" for outcome in outcomes)
    return f"the outcome {quoted}"
