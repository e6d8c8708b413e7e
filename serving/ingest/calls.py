"""Segment's calls as they come in: only the fields that something reads; all others are skipped without a look.

Design. Each event of a batch is first only measured and cut out (`msgspec.Raw`), then read by itself: one that is wrong
is judged alone, and a dead letter keeps exactly the bytes that were sent.
"""

from __future__ import annotations

from typing import Any

import msgspec

TYPES = ("identify", "track", "page", "screen", "alias", "group")

Id = str | int | float | None


class Context(msgspec.Struct, omit_defaults=True, gc=False):
    """Where a call comes from; a field of another kind than expected counts as not said."""

    campaign: Any = None
    page: Any = None
    referrer: Any = None
    referral: Any = None
    ref: Any = None
    locale: Any = None
    channel: Any = None
    question: Any = None
    purpose: Any = None
    notice_version: Any = None
    user_agent: Any = msgspec.field(default=None, name="userAgent")


class Call(msgspec.Struct, gc=False):
    """One identify, track, page, screen or alias."""

    type: str | None = None
    userId: Id = None  # noqa: N815  # Segment's names
    anonymousId: Id = None  # noqa: N815
    previousId: Id = None  # noqa: N815
    messageId: Id = None  # noqa: N815
    timestamp: str | None = None
    sentAt: str | None = None  # noqa: N815
    event: str | None = None
    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: Context | None = None


class Batch(msgspec.Struct):
    """Many calls, each as its bytes; `context` is for those that have none of their own."""

    batch: list[msgspec.Raw]
    sentAt: Any = None  # noqa: N815
    context: Any = None


class Signed(msgspec.Struct):
    """What a call that cannot be read still says of whose it is."""

    type: Any = None
    userId: Any = None  # noqa: N815
    anonymousId: Any = None  # noqa: N815
    previousId: Any = None  # noqa: N815
    messageId: Any = None  # noqa: N815
    sentAt: Any = None  # noqa: N815


read_call = msgspec.json.Decoder(Call).decode
read_batch = msgspec.json.Decoder(Batch).decode
read_signed = msgspec.json.Decoder(Signed).decode
LARGEST = 10**18  # of a number that stands for an id
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def signed_of(raw: bytes | msgspec.Raw) -> Signed:
    """Who sent a call and as what, as far as that can be read."""
    try:
        return read_signed(raw)
    except UNREADABLE:
        return Signed()


def text_of(value: object, at_most: int = 256) -> str | None:
    """A text or number as text; None where it is empty, something else, or longer than that."""
    if type(value) is str:
        return value if 0 < len(value) <= at_most else None
    if type(value) is int:
        return str(value) if -LARGEST <= value <= LARGEST else None
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) <= LARGEST else str(value)
    return None
