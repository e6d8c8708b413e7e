"""The names that expressions know of every brand, whatever its traits and features are."""

from __future__ import annotations

import re
from enum import Enum


class VariableType(Enum):
    """What a variable of an expression holds."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "number"
    FLAG = "true or false"
    INSTANT = "instant"
    DATE = "date"  # midnight UTC inside an expression, the same day in every time zone when it is given as it is


CONTEXT_VARIABLES: dict[str, VariableType] = {
    "segment": VariableType.TEXT,
    "brand_segments": VariableType.TEXTS,
    "stage": VariableType.TEXT,
    "purchase_propensity": VariableType.NUMBER,
    "still_buying": VariableType.NUMBER,
    "locale": VariableType.TEXT,
    "channel": VariableType.TEXT,
    "placement": VariableType.TEXT,
    "intent": VariableType.TEXT,
    "inbound_text": VariableType.TEXT,
    "is_known": VariableType.FLAG,
}

# What next purchase says of any horizon from 1 to 365 days: `purchase_propensity_45d`.
PURCHASE_PROPENSITY, EXPECTED_ORDERS, EXPECTED_SPEND = "purchase_propensity", "expected_orders", "expected_spend"
OF_ANY_HORIZON = (PURCHASE_PROPENSITY, EXPECTED_ORDERS, EXPECTED_SPEND)
LONGEST_DAYS = 365
_OF_A_HORIZON = re.compile(rf"({'|'.join(OF_ANY_HORIZON)})_([1-9][0-9]{{0,2}})d")

# What a moment's condition knows beside the customer: of the event that it waited after.
MOMENT_VARIABLES: dict[str, VariableType] = {
    "trigger_at": VariableType.INSTANT,
    "hours_since_trigger": VariableType.NUMBER,
    "days_since_trigger": VariableType.NUMBER,
    "ordered_since_trigger": VariableType.FLAG,
}

# What is known only while a decision is being asked for.
OF_A_REQUEST = frozenset({"channel", "placement", "intent", "inbound_text"})

RESERVED_NAMES = frozenset((*CONTEXT_VARIABLES, *MOMENT_VARIABLES)) | {
    "true",
    "false",
    "null",
    "in",
    "size",
    "int",
    "double",
    "string",
}


def of_a_horizon(name: str) -> tuple[str, int] | None:
    """What a name says of how many days: `expected_orders_45d`; None for any other name."""
    found = _OF_A_HORIZON.fullmatch(name)
    return (found[1], int(found[2])) if found and int(found[2]) <= LONGEST_DAYS else None
