"""Whether a customer may be reached on a channel: consent, and what they have unsubscribed from."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from features.brand import Channel
from features.merges import PERSONS

NO_CONSENT = "no_consent"
UNSUBSCRIBED = "unsubscribed"
EVERY_CHANNEL = "*"
MARKETING = "marketing"

_UNSUBSCRIBED = f"""
{PERSONS}
SELECT person.key, CASE WHEN outcomes.joined_by IN ('decision_id', 'token', 'coupon')
                        THEN coalesce(contacts.channel, decisions.channel) ELSE ? END
FROM person
CROSS JOIN outcomes ON outcomes.customer_key = person.part AND outcomes.outcome = 'unsubscribed'
LEFT JOIN decisions USING (decision_id)
LEFT JOIN contacts ON contacts.decision_id = outcomes.decision_id AND contacts.slot = coalesce(outcomes.slot, 0)
"""  # each slot of a list has a channel of its own


def unsubscribed_channels(
    connection: sqlite3.Connection, customer_keys: Sequence[int]
) -> Mapping[int, Collection[str]]:
    """The channels that each customer has unsubscribed from, by the outcomes reported; the others are left out.

    A customer is every key that was joined into theirs: what one of them has unsubscribed from, the person has.

    An unsubscription that names no decision names no channel, so it stands for every channel: the newest decision,
    which it joins for the counts, may have been on another one.
    """
    channels: dict[int, set[str]] = {}
    for key, channel in connection.execute(_UNSUBSCRIBED, (json.dumps([int(k) for k in customer_keys]), EVERY_CHANNEL)):
        channels.setdefault(key, set()).add(channel)
    return channels


def missing_consent(
    channel: Channel,
    *,
    channel_name: str,
    initiated_by: Literal["customer", "brand"],
    consents: Collection[str],
    unsubscribed: Collection[str],
    purpose: str = MARKETING,
) -> str | None:
    """The rule that keeps us from speaking, or None where we may.

    Args:
        channel: its kind of consent; a session channel's consent is that the customer opened the session.
        channel_name: as the brand calls it.
        initiated_by: who speaks first; a customer who asks is answered, whatever they have unsubscribed from.
        consents: those on record that were not withdrawn, as `consent_for` calls them.
        unsubscribed: the channels that the customer has unsubscribed from. Consent takes the stricter: an older or
            newer consent on record does not undo it.
        purpose: of the action; consent for it is asked for where the channel needs one.
    """
    if initiated_by == "brand" and (channel_name in unsubscribed or EVERY_CHANNEL in unsubscribed):
        return UNSUBSCRIBED
    if channel.consent == "required" and consent_for(channel_name, purpose) not in consents:
        return NO_CONSENT
    return None


def consent_for(channel_name: str, purpose: str) -> str:
    """What a consent to a purpose on a channel is called on record: the channel's name alone where to marketing."""
    return channel_name if purpose == MARKETING else f"{channel_name}/{purpose}"
