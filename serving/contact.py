"""Whether a customer may be reached on a channel: consent."""

from __future__ import annotations

from collections.abc import Collection

from features.brand import Channel

NO_CONSENT = "no_consent"


def missing_consent(channel: Channel, *, channel_name: str, consents: Collection[str]) -> str | None:
    """The rule that keeps us from speaking, or None where we may.

    Args:
        channel: its kind of consent; a session channel's consent is that the customer opened the session.
        channel_name: as the brand calls it.
        consents: the channels with a consent on record that was not withdrawn.
    """
    if channel.consent == "required" and channel_name not in consents:
        return NO_CONSENT
    return None
