"""What became of each event of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Status = Literal["accepted", "duplicate", "dead_lettered", "rejected"]

DUPLICATE: Status = "duplicate"
MADE_HERE = "message_id_made"
TRAITS_IGNORED = "traits_ignored"
TOO_LARGE = "too_large"
NOT_KEPT = "not_kept"
NO_CHANNEL = "no_channel_given"
UNUSUAL = "unusual_event_name"
SPOILT = "spoilt_payload"

LETTER_REASONS = (  # why a call becomes a dead letter; docs/ingest.md tells what each means
    *("not_valid", "unknown_type", "no_id", "no_event_name", "reserved_event_name", "unusable_message_id"),
    *("unparsable_timestamp", "time_in_the_future", "time_too_long_ago"),
    *("unparsable_total", "unparsable_products", "negative_price", "negative_quantity", "unknown_currency"),
    *("unparsable_value", "unparsable_window_days", "unparsable_action_probability", "probability_out_of_range"),
    *("unknown_trait", "invalid_answer", "unknown_channel", "unknown_purpose", "forged_token"),
)


class Verdict(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of one event.

    Attributes:
        messageId: the event's own, or the one that was made here.
        status: accepted: it is on disk. duplicate: it was before. dead_lettered: it is on disk among those that could
            not be taken. rejected: it is nowhere.
        reason: a word for a program; also where something of an accepted event was left out.
        detail: the same for people.
    """

    messageId: str  # noqa: N815  # Segment's name
    status: Status
    reason: str | None = None
    detail: str | None = None

    def say(self, reason: str, detail: str) -> None:
        """Adds what is to be known of an accepted event; the reason is the first one's."""
        self.reason = self.reason or reason
        self.detail = detail if self.detail is None else f"{self.detail}; {detail}"


def tell_no_channel(verdict: Verdict, properties: Mapping[str, Any]) -> None:
    """A consent to marketing without a channel lifts what was withdrawn without one, and gives none by itself."""
    if properties.get("purpose") in (None, "marketing"):
        verdict.say(NO_CHANNEL, "it names no channel: it lifts a withdrawal of all channels, and gives none by itself")


class Answer(msgspec.Struct):
    """The body of a 202."""

    accepted: int
    duplicates: int
    dead_lettered: int
    rejected: int
    events: list[Verdict]


encode = msgspec.json.Encoder().encode


def answer(verdicts: list[Verdict]) -> bytes:
    """The body of a 202, with the verdicts in the order of the events."""
    counts = {"accepted": 0, "duplicate": 0, "dead_lettered": 0, "rejected": 0}
    for verdict in verdicts:
        counts[verdict.status] += 1
    return encode(
        Answer(counts["accepted"], counts["duplicate"], counts["dead_lettered"], counts["rejected"], verdicts)
    )
