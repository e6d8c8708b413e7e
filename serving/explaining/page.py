"""One decision as a page that a marketer reads: what was said, why, what else could have been, what was kept away.

The page is made of the ledger's record, the brand and the catalogue that decided, and a replay; it fetches nothing and
runs nothing, and says so in its own policy.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec.structs import asdict

from experiments.records import HOLDOUT
from features.brand import Brand
from features.catalogue import NOTHING
from features.database import connect
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.packing import CustomerState
from features.workspace import Workspace
from serving.decide import Decision
from serving.explaining.explanation import age_in_words
from serving.explaining.worth import money_of, why_taken
from serving.followed import Followed, outcomes_of
from serving.reasons import FALLBACKS_IN_WORDS
from serving.replaying.recreating import CannotRecreateError, Recorded, Recreated, recorded, recreate, stock_of
from serving.replaying.replay import decided_again, verdict_on
from serving.replaying.verdicts import Verdict
from serving.stock import Stock

TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True, slots=True)
class Page:
    """What the template shows, in words."""

    decision_id: str
    brand: str
    currency: str
    headline: str
    state: str
    said: list[dict[str, Any]]
    reasons: list[str]
    values: list[dict[str, Any]]
    kept_away: list[dict[str, Any]]
    propensity: dict[str, Any] | None
    no_propensity: str
    response: dict[str, Any] | None
    outcomes: list[dict[str, str]]
    verdict: dict[str, Any]
    rests_on: list[tuple[str, str]] = field(default_factory=list)


class NoSuchDecision(CallersMistake):
    """The ledger does not hold it, and never did."""


def decision_page(workspace: Workspace, decision_id: str) -> str | None:
    """The page of a decision as HTML; None where its customer was erased.

    Raises:
        NoSuchDecision: the ledger does not hold it, and never did.
    """
    with closing(connect(workspace.database)) as connection:
        try:
            one = recorded(connection, decision_id)
        except CannotRecreateError:
            return None
        except CallersMistake as unknown:
            raise NoSuchDecision(str(unknown)) from unknown
        outcomes = outcomes_of(connection, decision_id)
        customer_id = IdentityTable(connection).id_of(int(one.record["customer_key"]))
        locale = _locale_used(connection, decision_id)
    page = _page(workspace, one, outcomes=outcomes, customer_id=customer_id, locale=locale)
    return rendered("decision.html.jinja", page=page)


def rendered(template: str, **values: object) -> str:
    """A page of this room with its style and its policy."""
    told: str = (
        _environment().get_template(template).render(style=Markup(style()), policy=content_security_policy(), **values)
    )
    return told


@cache
def style() -> str:
    """The pages' one style sheet."""
    return (TEMPLATES / "page.css").read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """What a page may do: nothing but show itself with its own style sheet."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(
    workspace: Workspace,
    one: Recorded,
    *,
    outcomes: Sequence[Followed],
    customer_id: str | None,
    locale: str | None,
) -> Page:
    record = one.record
    recreated, again, verdict = _again(workspace, one)
    stock = recreated.stock if recreated else _stock_or_none(workspace, one)
    brand = stock.brand if stock else None
    explainer = stock.explainer if stock else None
    propensity = response = None
    if recreated is not None:
        propensity = recreated.stock.explainer.propensity(recreated.scored, recreated.models)
        response = recreated.stock.explainer.response(record, recreated.scored, recreated.models)
    zone = ZoneInfo(brand.time_zone if brand else "UTC")
    who = f"customer {customer_id}" if customer_id else "a customer"
    return Page(
        decision_id=one.decision_id,
        brand=brand.name if brand else workspace.root.name,
        currency=brand.currency if brand else "",
        headline=f"{_name(record['action_id'])} for {who}",
        state=f"{one.at.astimezone(zone):%-d %B %Y, %H:%M:%S} ({zone.key}) · {record['placement']} · "
        f"{', '.join(record['channels'])}",
        said=_said(record, again),
        reasons=_reasons(record, recreated),
        values=[_value(value, record, brand) for value in explainer.values(record)] if explainer and brand else [],
        kept_away=[
            {"name": _named(away), "counter": away["counter_in_words"]}
            | {name: away[name] for name in ("in_words", "condition")}
            for away in (explainer.kept_away(record) if explainer else ())
        ],
        propensity=propensity,
        no_propensity=_no_propensity(record),
        response=response,
        outcomes=[_outcome(outcome, brand=brand, zone=zone) for outcome in outcomes],
        verdict=verdict.as_dict(),
        rests_on=_rests_on(one, recreated, locale=locale),
    )


def _again(workspace: Workspace, one: Recorded) -> tuple[Recreated | None, Decision | None, Verdict]:
    recreated = again = None
    try:
        recreated = recreate(workspace, one)
        again = decided_again(recreated, one)
    except CannotRecreateError as gone:
        return recreated, None, verdict_on(one, gone)
    return recreated, again, verdict_on(one, again)


def _stock_or_none(workspace: Workspace, one: Recorded) -> Stock | None:
    try:
        return stock_of(workspace, one)[0]
    except CannotRecreateError:
        return None


def _locale_used(connection: sqlite3.Connection, decision_id: str) -> str | None:
    query = "SELECT locale_used FROM decisions WHERE decision_id = ?"
    row = connection.execute(query, (decision_id,)).fetchone()
    return None if row is None else row[0]


def _name(action_id: str) -> str:
    return "Nothing" if action_id == NOTHING else action_id.replace("_", " ").capitalize()


def _named(one: Mapping[str, Any]) -> str:
    channel = one.get("channel") or one.get("key", "").partition("@")[2]
    return f"{_name(one['action_id'])} on {channel}" if channel else _name(one["action_id"])


def _said(record: Mapping[str, Any], again: Decision | None) -> list[dict[str, Any]]:
    """What each slot says; the words themselves are not kept, and come from making the decision once more."""
    slots = again.slots if again is not None else ()
    told = []
    for place, slot in enumerate(record["slots"]):
        offer = slots[place].offer if place < len(slots) and slots[place].action_id == slot["action_id"] else None
        if slot["action_id"] == NOTHING:
            instead = "Nothing is said."
        else:
            instead = "The words are not kept, and could not be made once more."
        on = f" on {slot['channel']}" if slot["channel"] else ""
        later = f", to be sent from {slot['send_at']}" if slot["send_at"] else ""
        told.append(
            {
                "caption": f"{_name(slot['action_id'])}{on}, with probability {slot['slot_probability']:.3f}{later}",
                "message": asdict(offer.message) if offer is not None else None,
                "instead": instead,
            }
        )
    return told


def _reasons(record: Mapping[str, Any], recreated: Recreated | None) -> list[str]:
    told = []
    if record["arm"] == HOLDOUT:
        told.append(
            "This customer is held out of personalisation, so that what it earns can be measured. The policy would "
            f"have taken: {_name(record['would_be_action_id'] or NOTHING)}."
        )
    else:
        told.append(f"Arm: {record['arm']} (probability {record['arm_probability']:.3f}). Policy: {record['policy']}.")
    if (reason := record["fallback_reason"]) is not None:
        told.append(FALLBACKS_IN_WORDS.get(reason, reason.replace("_", " ").capitalize() + "."))
    stage = f"Funnel stage: {record['stage']}."
    if record["segment"] is not None:
        name = _segment_name(record["segment"], recreated)
        told.append(f"Segment: {name} ({record['segment_probability'] or 0.0:.0%} sure). {stage}")
    else:
        told.append(stage)
    if record["candidates"] and record["arm"] != HOLDOUT and record["policy"] != "fallback":
        values = {one["key"]: one["value"] for one in record["candidates"] if one["key"] in record["distribution"]}
        taken = record["slots"][0]["key"]
        if taken in values:
            why = why_taken(values[taken], tuple(values.values()))
            told.append(f"{_name(record['action_id'])} was taken: {why}.")
    return told


def _segment_name(segment: str, recreated: Recreated | None) -> str:
    model = recreated.models.segments if recreated is not None else None
    names = model.names.get(segment, {}) if model is not None else {}
    return names.get("en") or next(iter(names.values()), segment)


def _value(one: Mapping[str, Any], record: Mapping[str, Any], brand: Brand) -> dict[str, Any]:
    return {
        "name": _named(one),
        "taken": one["key"] == record["slots"][0]["key"],
        "money": money_of(brand, one["value"]),
        "percent": f"{one['probability']:.1%}",
        "parts": [part | {"money": money_of(brand, part["amount"])} for part in one["parts"]],
    }


def _no_propensity(record: Mapping[str, Any]) -> str:
    if record["purchase_propensity"] is None:
        return "No model said how likely this customer is to buy."
    return f"{record['purchase_propensity']:.1%}; what made it so could not be made once more."


def _outcome(one: Followed, *, brand: Brand | None, zone: ZoneInfo) -> dict[str, str]:
    worth = "" if one.value is None else f", {money_of(brand, one.value) if brand else one.value}"
    flags = f" ({one.flags_in_words})" if one.flags_in_words else ""
    words = one.outcome.capitalize() + (f" ({one.goal})" if one.goal else "") + worth + flags
    return {"at": f"{one.occurred_at.astimezone(zone):%-d %B %Y, %H:%M:%S}", "in_words": words}


def _rests_on(one: Recorded, recreated: Recreated | None, *, locale: str | None) -> list[tuple[str, str]]:
    record = one.record
    rests = [
        ("Language asked", record["locale_asked"] or "none: the customer's, else the brand's"),
        ("Language used", locale or "none: nothing was said"),
    ]
    if recreated is not None:
        state = recreated.scored.customer.state
        age = (one.at - state.as_of).total_seconds() if isinstance(state, CustomerState) else None
        rests.append(("Age of what we knew", age_in_words(age)))
        if recreated.inputs.told:
            rests.append(("Told by the caller", ", ".join(recreated.inputs.told)))
    rests.append(("Draws", ", ".join(f"{draw:.6f}" for draw in record["draws"])))
    parameters = ", ".join(f"{name} {value}" for name, value in record["policy_parameters"].items())
    rests.append(("Policy", parameters or record["policy"]))
    rests += [(f"Version of {name}", str(version)) for name, version in sorted(record["versions"].items())]
    return rests
