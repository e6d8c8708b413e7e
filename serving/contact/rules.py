"""Whether an offer may be made now, by the brand's contact policy; if not, by which rule and until exactly when.

Pure: what was said to the customer and what is left of the budgets come in as facts. A rule either lets an offer
through at an instant or says until when it does not, so the instant at which every rule lets it through is found by
asking again at the end of each.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.brand import Brand
from features.catalogue import Action, Catalogue
from serving.contact.blocks import REFUSED, Block
from serving.contact.budgets import Budgets
from serving.contact.caps import CompiledCap, compiled, of_action
from serving.contact.consent import consent_for, missing_consent
from serving.contact.facts import Facts, Initiator
from serving.contact.single_rules import (
    any_waits_too_long,
    enough_asked,
    limited,
    over,
    quiet_now,
    quiet_of,
    reached,
    waits_too_long,
)
from serving.contact.windows import to_instant, to_us, zone_of
from serving.eligibility import Suppressed, as_utc
from serving.lineup import Lineup, kinds_of

if TYPE_CHECKING:
    from serving.offers import Offer

NOT_NOW, NEVER = "not_now", "never"
EVERYBODY: tuple[Initiator, ...] = ("brand", "customer")
_MICROSECOND = timedelta(microseconds=1)


class ContactRules:
    """A brand's contact policy with the caps, budgets and coupon pools of its catalogue, compiled once.

    Attributes:
        caps_on_writing: those on the brand's messages, whatever they say.
    """

    def __init__(self, brand: Brand, catalogue: Catalogue) -> None:
        policy = brand.contact_policy
        self._brand = brand
        self._zone = zone_of(None, brand.time_zone)
        self._actions = {action.id: action for action in catalogue.actions}
        self._refusals = policy.refusals
        self._caps = tuple(compiled(name, cap) for name, cap in policy.frequency_caps.items())
        self._caps_of = {action.id: of_action(action.id, action.caps) for action in catalogue.actions if action.caps}
        self._quiet = {
            (channel, who): quiet_of(policy.quiet_hours, channel, who)
            for channel in brand.channels
            for who in ("brand", "customer")
        }
        self._waits = any(rule.then == "wait" for rule in policy.quiet_hours)
        self._ends = any(action.valid_until is not None for action in catalogue.actions)
        self.budgets = Budgets(brand, catalogue)
        self.limits, self.pools = self.budgets.limits, self.budgets.pools
        self.terms, self.periods = self.budgets.terms, self.budgets.periods
        self.reservation = timedelta(hours=policy.reservation_hours)
        caps = [*self._caps, *(cap for caps in self._caps_of.values() for cap in caps)]
        self._every_cap = tuple(caps)
        self._caps_where: dict[frozenset[str], tuple[CompiledCap, ...]] = {}
        self.caps_on_writing = tuple(cap for cap in self._caps if cap.is_of_messages and cap.governs("brand"))
        self._fewest = {  # so many contacts reach no cap at all
            who: min([cap.cap.at_most for cap in caps if cap.governs(who)], default=sys.maxsize) for who in EVERYBODY
        }
        self._is_for_all = any(cap.cap.governs == "everyone" for cap in caps)
        self._counted_for_all = tuple(
            (who, max(cap.reaches_back for cap in mine) // _MICROSECOND)
            for who in EVERYBODY
            if (mine := [cap for cap in caps if cap.governs(who)])
        )
        self._judged: dict[tuple[str, str, str], tuple[int, tuple[CompiledCap, ...]]] = {}

    def counted(self, initiated_by: Collection[str]) -> tuple[tuple[str, int], ...]:
        """Whose contacts count where these speak first, and how far back, in microseconds: those of their caps."""
        return (
            self._counted_for_all
            if self._is_for_all
            else tuple((who, back) for who, back in self._counted_for_all if who in initiated_by)
        )

    def reach_no_cap(self, n_contacts: int, initiated_by: Initiator) -> bool:
        """Whether so few contacts reach no cap at all where these speak first, whatever they are."""
        return n_contacts < self._fewest[initiated_by]

    def caps_of(self, initiated_by: Collection[str]) -> tuple[CompiledCap, ...]:
        """The caps that govern where these speak first; found once: a campaign asks for each customer."""
        whos = frozenset(initiated_by)
        if (found := self._caps_where.get(whos)) is None:
            found = self._caps_where[whos] = tuple(
                cap for cap in self._every_cap if any(cap.governs(who) for who in whos)
            )
        return found

    def reserved_until(self, at: datetime) -> datetime:
        """Until when something deferred that may be said from an instant on is a reservation."""
        return at + self.reservation

    # -- judging ------------------------------------------------------------------------------------------------

    def judge(
        self,
        offer: Offer,
        facts: Facts,
        *,
        initiated_by: Initiator,
        at: datetime,
        zone: str | None = None,
        consents: Collection[str] = (),
    ) -> Suppressed | None:
        """Why an offer may not be made at an instant, and when it may; None where it may.

        Args:
            offer: an action on a channel, in a place.
            facts: of the customer.
            initiated_by: who speaks first there.
            at: the instant.
            zone: of the customer's clock; the brand's where None or unknown.
            consents: the customer's, on record.
        """
        clock, at_us = self._zone if zone is None else zone_of(zone, self._brand.time_zone), to_us(at)
        first = self._block(offer, facts, initiated_by, at_us, clock, consents)
        if first is None:
            return None
        until = at_us
        block: Block | None = first
        while block is not None:
            if block.until_us is None:
                return Suppressed(offer.action.id, first.rule, first.detail, counter=first.counter)
            until = block.until_us
            block = self._block(offer, facts, initiated_by, until, clock, consents)
        ends = as_utc(offer.action.valid_until)
        eligible_at = to_instant(until)
        is_over = ends is not None and eligible_at >= ends
        return Suppressed(
            offer.action.id, first.rule, first.detail, None if is_over else eligible_at, counter=first.counter
        )

    def judge_all(
        self,
        offers: Sequence[Offer],
        facts: Facts,
        *,
        initiated_by: Initiator,
        at: datetime,
        zone: str | None = None,
        consents: Collection[str] = (),
    ) -> list[Suppressed | None]:
        """As `judge`, of each offer, none where every one may be made; what holds for a channel is asked once."""
        judge = partial(self.judge, facts=facts, initiated_by=initiated_by, at=at, zone=zone, consents=consents)
        clock, at_us = self._zone if zone is None else zone_of(zone, self._brand.time_zone), to_us(at)
        kinds = offers.kinds if isinstance(offers, Lineup) else kinds_of(offers)
        if facts.refusals or facts.budgets:
            return [judge(offer) for offer in offers]
        waiting = {self._quiet[channel, initiated_by][0] for channel, _, _ in kinds} if self._waits else ()
        if waiting and any_waits_too_long(waiting, at_us, clock, may_end=self._ends):
            return [judge(offer) for offer in offers]
        shut = {
            (channel, purpose, asks)
            for channel, purpose, asks in kinds
            if asks is not None or self._of_channel(channel, purpose, facts, initiated_by, at_us, clock, consents)
        }
        n_contacts = len(facts.contacts)
        if not shut and self.reach_no_cap(n_contacts, initiated_by):
            return []
        return [
            None
            if (offer.channel, offer.action.purpose, offer.action.asks) not in shut
            and (n_contacts == 0 or n_contacts < self._caps_for(offer.action, offer.channel, initiated_by)[0])
            else judge(offer)
            for offer in offers
        ]

    def _of_channel(
        self,
        channel: str,
        purpose: str,
        facts: Facts,
        initiated_by: Initiator,
        at_us: int,
        zone: ZoneInfo,
        consents: Collection[str],
    ) -> Block | None:
        """What keeps every offer to this purpose off a channel."""
        block = self._without_consent(channel, purpose, facts, initiated_by, consents)
        return block or self._closed(channel, facts, initiated_by, at_us, zone)

    def _without_consent(
        self, channel: str, purpose: str, facts: Facts, initiated_by: Initiator, consents: Collection[str]
    ) -> Block | None:
        """A consent that a channel asks for, and is not there for this purpose."""
        rule = missing_consent(
            self._brand.channels[channel],
            channel_name=channel,
            initiated_by=initiated_by,
            consents=consents,
            unsubscribed=facts.unsubscribed,
            purpose=purpose,
        )
        return None if rule is None else Block(rule, consent_for(channel, purpose), None)

    def _closed(self, channel: str, facts: Facts, initiated_by: Initiator, at_us: int, zone: ZoneInfo) -> Block | None:
        """What shuts a channel whatever would be said there: its carrier's limit, quiet hours that suppress."""
        if facts.carrier_limits and (block := limited(channel, facts, at_us)) is not None:
            return block
        _, suppressing = self._quiet[channel, initiated_by]
        return None if suppressing is None else quiet_now(suppressing, channel, facts, at_us, zone)

    def send_at(self, channel: str, initiated_by: Initiator, at: datetime, zone: str | None = None) -> datetime | None:
        """When quiet hours that only delay are over; None where it may be sent at once."""
        waiting, _ = self._quiet.get((channel, initiated_by), (None, None))
        if waiting is None:
            return None
        span = waiting.quiet_at(to_us(at), zone_of(zone, self._brand.time_zone))
        return None if span is None or span.end_us is None else to_instant(span.end_us)

    def rests(self, channel: str, facts: Facts, *, at: datetime, zone: str | None = None) -> Block | None:
        """What keeps the brand from writing there at all, whatever it would say; until when it does, all in all.

        That is: a provider's limit, quiet hours, caps on messages. Consent, and rules about some actions, are apart.
        """
        clock, until, first = zone_of(zone, self._brand.time_zone), to_us(at), None
        while (block := self._resting(channel, facts, until, clock)) is not None:
            first = first or block
            if block.until_us is None:
                return replace(first, until_us=None)
            until = block.until_us
        return None if first is None else replace(first, until_us=until)

    def _resting(self, channel: str, facts: Facts, at_us: int, zone: ZoneInfo) -> Block | None:
        if (block := self._closed(channel, facts, "brand", at_us, zone)) is not None:
            return block
        for cap in self.caps_on_writing if facts.contacts else ():
            if cap.is_about("", channel, ()):
                (group,) = cap.groups("", channel, ())
                leaves = cap.leaves_at(facts, group, zone, but=("", ""))
                if (block := reached(cap, group, leaves, at_us, zone)) is not None:
                    return block
        return None

    def _block(
        self,
        offer: Offer,
        facts: Facts,
        initiated_by: Initiator,
        at_us: int,
        zone: ZoneInfo,
        consents: Collection[str],
    ) -> Block | None:
        """The first rule that keeps an offer away, in the order in which a person would ask."""
        action, channel = offer.action, offer.channel
        if (block := self._without_consent(channel, action.purpose, facts, initiated_by, consents)) is not None:
            return block
        if facts.refusals and (block := self._refused(action, facts, at_us)) is not None:
            return block
        if action.asks is not None and (block := enough_asked(offer, facts, at_us)) is not None:
            return block
        if (block := self._closed(channel, facts, initiated_by, at_us, zone)) is not None:
            return block
        if (block := waits_too_long(self._quiet[channel, initiated_by][0], offer, at_us, zone)) is not None:
            return block
        if facts.contacts:
            n_contacts, (fewest, caps) = len(facts.contacts), self._caps_for(action, channel, initiated_by)
            for cap in caps if n_contacts >= fewest else ():
                if n_contacts >= cap.cap.at_most and (block := over(cap, offer, facts, at_us, zone)) is not None:
                    return block
        for charge in self.terms(action.id, channel).charges if facts.budgets else ():
            if (block := self.budgets.spent(charge, facts, at_us)) is not None:
                return block
        return None

    def _refused(self, action: Action, facts: Facts, at_us: int) -> Block | None:
        cooldown = timedelta(days=self._refusals.not_now_days) // _MICROSECOND
        for refusal in facts.refusals:
            if not self._covers(refusal.action_id, action):
                continue
            until = None if refusal.reason == NEVER else refusal.refused_at_us + cooldown
            if until is None or until > at_us:
                said = "never" if until is None else "not now"
                refused_at = to_instant(refusal.refused_at_us).isoformat()
                counter = {"refused": refusal.action_id, "reason": refusal.reason, "since": refused_at}
                return Block(REFUSED, f"'{said}' to {refusal.action_id}", until, counter)
        return None

    def _covers(self, refused_id: str, action: Action) -> bool:
        if refused_id == action.id or self._refusals.covers == "everything":
            return True
        refused = self._actions.get(refused_id)
        return self._refusals.covers == "tags" and refused is not None and not set(refused.tags).isdisjoint(action.tags)

    def _caps_for(self, action: Action, channel: str, initiated_by: str) -> tuple[int, tuple[CompiledCap, ...]]:
        """The caps that an offer falls under, after the least that one of them allows."""
        key = (action.id, channel, initiated_by)
        if (found := self._judged.get(key)) is None:
            caps = tuple(
                cap
                for cap in (*self._caps, *self._caps_of.get(action.id, ()))
                if cap.governs(initiated_by) and cap.is_about(action.id, channel, action.tags)
            )
            found = self._judged[key] = (min((cap.cap.at_most for cap in caps), default=sys.maxsize), caps)
        return found
