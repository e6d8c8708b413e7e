"""The JSON Schema of one event as a client sends it: Segment's identify and track, with the columns of the contract."""

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

# Columns that the envelope holds or that Rapport fills by itself; every other one is read from `properties`.
_OF_THE_ENVELOPE = frozenset(
    {"event_id", "customer_key", "event", "occurred_at", "received_at", "backfilled", "superseded_at", "properties"}
)

_MEANINGS = {
    "order_id": "Of an order or a refund: the same order twice is one order.",
    "total": "Of an order or a refund; positive.",
    "currency": "ISO 4217.",
    "products": "Of an order or a refund; one element for a product viewed or added.",
    "trait": "Of an answered question: which trait of brand.yaml it is about.",
    "answer": "Of an answered question: text, number, ISO 8601 date, true or false; several choices as a JSON array.",
    "channel": "One of the brand's channels.",
    "action_id": "Of a message sent: the action; 'nothing' for a control.",
    "action_probability": "With what probability that action was taken, where it was drawn.",
    "window_days": "Of a measured outcome: how long after the message it was counted.",
}


def event_schema() -> dict[str, Any]:
    """The schema of one identify or track call; keys that it does not name are ignored: Segment's clients send more."""
    properties = {
        field.name: {**_json_type(field.type), **_meaning(field.name)}
        for field in EVENT_SCHEMA
        if field.name not in _OF_THE_ENVELOPE
    }
    track = {
        "event": {"type": "string", "minLength": 1, "description": "Such as 'Order Completed' or 'Question Answered'."},
        "properties": {"type": "object", "properties": properties},
    }
    identify = {"traits": {"type": "object", "description": "Declared traits, by their names in brand.yaml."}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event",
        "description": "One event, Segment-shaped: identify says who somebody is, track says what happened.",
        "oneOf": [_call("identify", identify, "traits"), _call("track", track, "event")],
    }


def _call(kind: str, own: dict[str, Any], required: str) -> dict[str, Any]:
    instant = {"type": "string", "format": "date-time"}
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
        "context": {"type": "object", "description": "Campaign, page, locale and so on."},
    }
    return {
        "title": kind,
        "type": "object",
        "properties": {**envelope, **own},
        "required": ["type", required],
        "anyOf": [{"required": ["userId"]}, {"required": ["anonymousId"]}],
    }


def _json_type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"type": "array", "items": _product()}
    return _JSON_TYPES[kind]


def _product() -> dict[str, Any]:
    return {"type": "object", "properties": {field.name: _json_type(field.type) for field in PRODUCT}}


def _meaning(name: str) -> dict[str, str]:
    return {"description": _MEANINGS[name]} if name in _MEANINGS else {}
