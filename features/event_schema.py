"""The JSON Schema of one event as a client sends it: Segment's calls, with the columns of the contract."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from features.contract import EVENT_SCHEMA, PRODUCT

_JSON_TYPES: dict[pa.DataType, dict[str, Any]] = {
    pa.string(): {"type": "string"},
    pa.float64(): {"type": "number"},
    pa.int64(): {"type": "integer"},
    pa.bool_(): {"type": "boolean"},
}

# Columns that the envelope or the context holds, or that Rapport fills by itself; every other one is read from
# `properties`.
_OF_THE_ENVELOPE = frozenset(
    {"event_id", "customer_key", "event", "occurred_at", "received_at", "backfilled", "superseded_at", "properties"}
    | {"source"}
)

_CONTEXT = {
    "campaign": "Such as {source, medium, name, term, content}, from the utm parameters: `source` is kept as "
    "'google / cpc', the name as `campaign`.",
    "page": "{url, search, referrer}: else the source is a click id (gclid, fbclid, …) or the referrer's host.",
    "referral": "Of a click to chat: {ref | source_id, ctwa_clid}, as the messaging platform hands it over.",
    "ref": "Of a click to chat: its ref alone.",
    "locale": "Of an answer or declared traits: the locale in which it was asked.",
    "channel": "Of declared traits: where they were told.",
    "question": "Of declared traits: what was asked.",
    "purpose": "Of declared traits: for what they were given.",
    "notice_version": "Of declared traits: which privacy notice was shown.",
}

_MEANINGS = {
    "order_id": "Of an order or a refund: the same order twice is one order.",
    "total": "Of an order or a refund; positive.",
    "currency": "ISO 4217.",
    "products": "Of an order or a refund; one element for a product viewed or added.",
    "trait": "Of an answered question: which trait of brand.yaml it is about.",
    "answer": "Of an answered question: text, number, ISO 8601 date, true or false, or several choices as a list; null "
    "takes back what was said before.",
    "campaign": "Else the name that `context.campaign` says.",
    "conversation_id": "Of a conversation: the same in each of its events, so that it can be told where it was left.",
    "step": "Of the conversation: the step that this event belongs to, as text or number.",
    "channel": "One of the brand's channels.",
    "action_id": "Of a message sent: the action; 'nothing' for a control.",
    "action_probability": "With what probability that action was taken, where it was drawn.",
    "window_days": "Of a measured outcome: how long after the message it was counted.",
}


def event_schema() -> dict[str, Any]:
    """The schema of one call; keys that it does not name are ignored: Segment's clients send more."""
    properties = {
        field.name: {**_json_type(field.type, field.name), **_meaning(field.name)}
        for field in EVENT_SCHEMA
        if field.name not in _OF_THE_ENVELOPE
    }
    of_the_event = {"properties": {"type": "object", "properties": properties}}
    name = {"type": "string", "minLength": 1, "description": "Such as 'Order Completed' or 'Question Answered'."}
    traits = {"type": "object", "description": "Declared traits, by their names in brand.yaml; null takes one back."}
    page = {"name": {"type": "string"}, "category": {"type": "string"}, **of_the_event}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event",
        "description": "One event, Segment-shaped: identify says who somebody is, track says what happened.",
        "oneOf": [
            _call("identify", {"traits": traits}, "traits"),
            _call("track", {"event": name, **of_the_event}, "event"),
            _call("page", page),
            _call("screen", page),
            _call("alias", {"previousId": {"type": "string", "minLength": 1}}, "previousId", "userId"),
        ],
    }


def _call(kind: str, own: dict[str, Any], *required: str) -> dict[str, Any]:
    instant = {"type": "string", "format": "date-time"}
    context = {name: {"description": meaning} for name, meaning in _CONTEXT.items()}
    envelope = {
        "type": {"const": kind},
        "userId": {"type": "string", "minLength": 1},
        "anonymousId": {"type": "string", "minLength": 1},
        "messageId": {
            "type": "string",
            "minLength": 1,
            "description": "Unique for ever.",
        },
        "timestamp": {**instant, "description": "When it happened."},
        "sentAt": {**instant, "description": "When the client sent it, by the client's clock."},
        "context": {"type": "object", "properties": context, "description": "Where it comes from."},
    }
    return {
        "title": kind,
        "type": "object",
        "properties": {**envelope, **own},
        "required": ["type", *required],
        "anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}],
    }


def _json_type(kind: pa.DataType, name: str = "") -> dict[str, Any]:
    if name == "answer":
        return {}
    if name == "step":
        return {"type": ["string", "number"]}
    if pa.types.is_list(kind):
        return {"type": "array", "items": _product()}
    return _JSON_TYPES[kind]


def _product() -> dict[str, Any]:
    return {"type": "object", "properties": {field.name: _json_type(field.type) for field in PRODUCT}}


def _meaning(name: str) -> dict[str, str]:
    return {"description": _MEANINGS[name]} if name in _MEANINGS else {}
