"""The names that expressions know of every brand, whatever its traits and features are."""

from __future__ import annotations

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
    "locale": VariableType.TEXT,
    "channel": VariableType.TEXT,
    "placement": VariableType.TEXT,
    "intent": VariableType.TEXT,
    "inbound_text": VariableType.TEXT,
    "is_known": VariableType.FLAG,
}

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
