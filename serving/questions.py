"""A request checked against the brand: every name that it does not have, with the closest that it has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from features.brand import Brand
from serving.outcome_rows import CONVERTED
from serving.refusals import RequestRefused, WrongField, unknown_name
from serving.schemas import DecisionRequest, OutcomeReport
from serving.told import trait_faults

CLOCKS_DIFFER = timedelta(hours=24)


def refuse_wrong_decision(request: DecisionRequest, brand: Brand) -> None:
    """Raises RequestRefused with everything in a request that this brand does not have."""
    faults = trait_faults(request.context.traits, brand) if request.context.traits else []
    if (request.customer_id is None) == (request.anonymous_id is None):
        rule = (
            "name the customer, or the device where nobody has signed in: exactly one of customer_id and anonymous_id."
        )
        faults.append(WrongField("/customer_id", rule))
    placement = brand.placements.get(request.placement)
    if placement is None:
        faults.append(unknown_name("/placement", request.placement, kind="placement", names=list(brand.placements)))
    elif request.channel not in placement.channels:
        kind = f"channel of placement '{request.placement}' called"
        faults.append(unknown_name("/channel", request.channel, kind=kind, names=placement.channels))
    if faults:
        raise RequestRefused(faults)


def refuse_wrong_outcomes(reports: Sequence[OutcomeReport], brand: Brand, *, at: datetime, single: bool) -> None:
    """Raises RequestRefused with everything wrong in any of the reports."""
    faults = []
    for position, report in enumerate(reports):
        prefix = "" if single else f"/{position}"
        faults += [
            WrongField(f"{prefix}{fault.pointer}", fault.detail) for fault in _report_faults(report, brand, at=at)
        ]
    if faults:
        raise RequestRefused(faults)


def _report_faults(report: OutcomeReport, brand: Brand, *, at: datetime) -> list[WrongField]:
    faults = []
    if (report.decision_id is None) == (report.customer_id is None):
        rule = "name the decision (best) or the customer: exactly one of decision_id and customer_id."
        faults.append(WrongField("/decision_id", rule))
    if report.goal is not None and report.goal not in brand.goals:
        faults.append(unknown_name("/goal", report.goal, kind="goal", names=list(brand.goals)))
    if report.outcome != CONVERTED:
        for name in ("goal", "value"):
            if getattr(report, name) is not None:
                rule = f"belongs to the outcome '{CONVERTED}' only, but the outcome is '{report.outcome}'."
                faults.append(WrongField(f"/{name}", rule))
    if report.occurred_at is not None and report.occurred_at > at + CLOCKS_DIFFER:
        rule = f"lies in the future: it is {at.isoformat()} here. Send the instant with its zone, or leave it out."
        faults.append(WrongField("/occurred_at", rule))
    return faults
