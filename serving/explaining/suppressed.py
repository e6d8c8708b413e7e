"""Why an action was kept away, and from when on it may be offered again, as sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from serving.explaining.conditions import Names

RULES: Mapping[str, str] = {
    "not_yet_valid": "Its season has not begun.",
    "expired": "Its season is over.",
    "when": "It may be offered only where {condition}, which is not so here.",
    "when_unknown": "It may be offered only where {condition}. {detail}.",
    "not_renderable": "It cannot be said here: {detail}.",
    "no_consent": "The customer has not agreed to hear from us this way ({detail}).",
    "unsubscribed": "The customer has unsubscribed ({detail}).",
    "refused": "The customer said {detail}.",
    "carrier_limit": "The provider will not take more for this customer just now ({detail}).",
    "quiet_hours": "It is quiet time for this customer ({detail}).",
    "frequency_cap": "They have heard enough of it: {detail}.",
    "budget": "The budget {detail}.",
    "no_coupon_code": "There is no coupon code: {detail}.",
    "tag_limit": "The list already has enough of its kind.",
    "said_elsewhere": "It is said in another place of the same answer.",
    "already_known": "The customer has told us already: {detail}.",
    "already_asked": "The customer was asked already: {detail}.",
    "enough_asked": "Enough was asked in this conversation.",
    "worth_nothing": "The answer would change nothing that is worth its cost.",
    "excluded": "The caller asked for it to be left out.",
    "not_a_candidate": "The caller asked for other actions only.",
}
_NOT_RENDERABLE: Mapping[str, str] = {  # by what stands before the colon of the detail
    "slot_unknown": "nobody knows what to write for '{of}'",
    "no_rendering": "it has no text in {of}, nor in a locale that stands in for it",
    "outside_session_window": "no chat session is open, and it has no approved template for here",
    "no_label": "a value has no label: {of}",
    "template_error": "its text could not be made: {of}",
    "empty_text": "{of} would be empty",
    "over_limit": "it is beyond the channel's limits: {of}",
}
OF_A_CONDITION = ("when", "when_unknown")
_IS_NOT_KNOWN = re.compile(r"'([A-Za-z_]\w*)' is not known")
_NEVER_AGAIN = {"expired"}
_NOBODY_KNOWS = {"when", "when_unknown", "slot_unknown", "no_consent", "unsubscribed"}


def why_suppressed(suppressed: Mapping[str, Any], *, time_zone: str, condition: str, names: Names) -> str:
    """One suppressed action's reason.

    Args:
        suppressed: as a decision's record has it: rule, detail, counter, eligible_at.
        time_zone: in whose clock instants are told.
        condition: the action's, in words.
        names: what its variables are called.
    """
    rule, detail = str(suppressed["rule"]), str(suppressed.get("detail") or "").rstrip(".")
    told = RULES.get(rule, f"{rule.replace('_', ' ').capitalize()}: {{detail}}.")
    if rule == "when_unknown":
        detail = _unknown(detail, names)
    elif rule == "not_renderable":
        rule, _, of = detail.partition(": ")
        detail = _NOT_RENDERABLE.get(rule, detail).format(of=of)
    told = told.format(detail=detail, condition=condition)
    return f"{told} {_again(suppressed, rule, time_zone)}".strip()


def _unknown(detail: str, names: Names) -> str:
    """What nobody knows, of which the record has the variable's name; an expression where no one name is at fault."""
    found = _IS_NOT_KNOWN.fullmatch(detail)
    if found is None:
        return "For this customer that cannot be worked out"
    return f"Of this customer nobody knows {names(found[1]).words}"


def _again(suppressed: Mapping[str, Any], rule: str, time_zone: str) -> str:
    eligible_at = suppressed.get("eligible_at")
    if eligible_at is not None:
        at = datetime.fromisoformat(eligible_at).astimezone(ZoneInfo(time_zone))
        return f"It may be offered again from {at:%-d %B %Y, %H:%M:%S} ({time_zone})."
    counter = suppressed.get("counter") or {}
    if rule in _NEVER_AGAIN or counter.get("reason") == "never":
        return "It will not be offered again."
    if rule in _NOBODY_KNOWS:
        return "That changes when what we know of the customer does."
    return ""


def counter_in_words(counter: Mapping[str, Any] | None) -> str:
    """The state of the counter behind a rule; empty where there is none."""
    if not counter:
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counter.items() if value is not None)
