"""The contact rules one by one: a provider's limit, a question, quiet hours, a cap, each at an instant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.contact_policy import QuietHours
from serving.contact.blocks import CARRIER_LIMIT, FREQUENCY_CAP, QUIET_HOURS, Block
from serving.contact.caps import CompiledCap
from serving.contact.facts import THIS_REQUEST, Facts
from serving.contact.windows import QuietClock, to_instant, to_us
from serving.eligibility import as_utc
from serving.next_question.asked import asked_enough

if TYPE_CHECKING:
    from serving.offers import Offer


def limited(channel: str, facts: Facts, at_us: int) -> Block | None:
    """A provider has said that nothing may be sent there for a while."""
    for limit in facts.carrier_limits:
        if limit.channel == channel and limit.until_us > at_us:
            return Block(CARRIER_LIMIT, f"{channel}: {limit.code}", limit.until_us, {"code": limit.code})
    return None


def enough_asked(offer: Offer, facts: Facts, at_us: int) -> Block | None:
    """A question is asked once, and a conversation is no interview: whoever speaks first."""
    found = asked_enough(offer.action, offer.place.placement, facts.asked, at_us=at_us)
    if found is None:
        return None
    until = None if found.eligible_at is None else to_us(found.eligible_at)
    return Block(found.rule, found.detail, until, found.counter)


def quiet_now(clock: QuietClock, channel: str, facts: Facts, at_us: int, zone: ZoneInfo) -> Block | None:
    """It is quiet there, so that nothing may be chosen."""
    key = (clock, channel, at_us, zone)  # facts may be those of several customers
    if (kept := facts.memo.get(key, clock)) is not clock:
        return kept  # type: ignore[no-any-return]
    span, block = clock.quiet_at(at_us, zone), None
    if span is not None:
        since = to_instant(span.start_us).isoformat()
        block = Block(QUIET_HOURS, f"{channel}, by the clock of {zone.key}", span.end_us, {"since": since})
    facts.memo[key] = block
    return block


def over(cap: CompiledCap, offer: Offer, facts: Facts, at_us: int, zone: ZoneInfo) -> Block | None:
    """The customer is at this cap, counted for this offer."""
    message = (THIS_REQUEST + offer.place.name, offer.channel)
    for group in cap.groups(offer.action.id, offer.channel, offer.action.tags):
        key = (cap.name, group, message if cap.is_of_messages else None, at_us)
        block = facts.memo.get(key, cap)
        if block is cap:
            block = facts.memo[key] = reached(cap, group, cap.leaves_at(facts, group, zone, but=message), at_us, zone)
        if block is not None:
            return block  # type: ignore[no-any-return]
    return None


def reached(cap: CompiledCap, group: str, leaves: Sequence[int], at_us: int, zone: ZoneInfo) -> Block | None:
    """The count of a cap, from when each of what it counts leaves it, is at its most."""
    most = cap.cap.at_most
    if len(leaves) < most or leaves[most - 1] <= at_us:
        return None
    counted = sum(instant > at_us for instant in leaves)
    of = f" of {group}" if group else ""
    detail = f"{cap.name}: {counted} of at most {most} {cap.cap.counts}s{of} in a {cap.window} window"
    return Block(FREQUENCY_CAP, detail, leaves[most - 1], cap.counter(counted, at_us, zone))


def waits_too_long(waiting: QuietClock | None, offer: Offer, at_us: int, zone: ZoneInfo) -> Block | None:
    """It would have to wait for quiet hours to end, and they never do, or the action is over by then."""
    if waiting is None:
        return None
    span, ends = waiting.quiet_at(at_us, zone), as_utc(offer.action.valid_until)
    if span is None or (span.end_us is not None and (ends is None or span.end_us < to_us(ends))):
        return None
    why = "quiet hours that never end" if span.end_us is None else "it would be over when they end"
    since = to_instant(span.start_us).isoformat()
    return Block(QUIET_HOURS, f"{offer.channel}, by the clock of {zone.key}: {why}", span.end_us, {"since": since})


def any_waits_too_long(waiting: Collection[QuietClock | None], at_us: int, zone: ZoneInfo, *, may_end: bool) -> bool:
    """Whether on a channel of these something may have to wait for too long: all of it, or of what ends some."""
    spans = [None if clock is None else clock.quiet_at(at_us, zone) for clock in waiting]
    return any(span is not None and (may_end or span.end_us is None) for span in spans)


def quiet_of(rules: tuple[QuietHours, ...], channel: str, who: str) -> tuple[QuietClock | None, QuietClock | None]:
    """When a message that may wait has to, for any of the rules; and when it is so quiet that nothing may be chosen."""
    mine = [
        rule for rule in rules if (not rule.channels or channel in rule.channels) and rule.governs in ("everyone", who)
    ]
    suppressing = [rule for rule in mine if rule.then == "suppress"]
    may_wait = len(suppressing) < len(mine)
    return QuietClock(mine) if may_wait else None, QuietClock(suppressing) if suppressing else None
