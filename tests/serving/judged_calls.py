"""One call judged, for tests that name only what matters in it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from features.brand import Trait
from features.lake import instant_us
from serving.ingest.instants import DAY_US, SECOND_US, Limits
from serving.ingest.judging import Arrival, Judge, Judged, Letter, Taken
from serving.ingest.verdicts import Verdict
from tests.serving.tiny_world import NOON, a_brand

NOON_US = instant_us(NOON)
LIMITS = Limits(past_us=30 * DAY_US, future_us=60 * SECOND_US)
BRAND = a_brand(
    traits=dict(a_brand().traits)
    | {"note": Trait(kind="need", type="text"), "vegan": Trait(kind="fact", type="boolean")}
)
JUDGE = Judge(BRAND, LIMITS)


def judged(call: dict[str, Any] | bytes, *, sent_at: datetime | None = None, kind: str | None = None) -> Judged:
    raw = call if isinstance(call, bytes) else json.dumps(call).encode()
    return JUDGE.judge(raw, Arrival(NOON_US, NOON_US, None if sent_at is None else instant_us(sent_at), kind))


def taken(call: dict[str, Any], **arrival: Any) -> dict[str, Any]:
    """The columns that a call becomes, its properties as an object."""
    one = judged({"userId": "u", "messageId": "m"} | call, **arrival)
    assert isinstance(one, Taken), one
    columns: dict[str, Any] = json.loads(one.payload)
    if "properties" in columns:
        columns["properties"] = json.loads(columns["properties"])
    return columns


def tracked(event: str, *, context: object = None, **properties: object) -> dict[str, Any]:
    return taken({"type": "track", "event": event, "properties": properties, "context": context})


def refused(call: dict[str, Any], **arrival: Any) -> str | None:
    """The reason of the dead letter that a call becomes."""
    one = judged({"userId": "u", "messageId": "m"} | call, **arrival)
    assert isinstance(one, Letter), one
    assert one.raw == json.dumps({"userId": "u", "messageId": "m"} | call).encode()
    return one.verdict.reason


def refused_track(event: str, **properties: object) -> str | None:
    return refused({"type": "track", "event": event, "properties": properties})


def detail(call: dict[str, Any], **arrival: Any) -> str:
    """What people are told of a call."""
    one = judged({"type": "track", "userId": "u", "messageId": "m"} | call, **arrival)
    return str((one if isinstance(one, Verdict) else one.verdict).detail)
