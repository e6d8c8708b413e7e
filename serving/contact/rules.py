"""Whether an offer may be made now, by the brand's contact policy; if not, by which rule and until exactly when.

Pure: what was said to the customer and what is left of the budgets come in as facts. A rule either lets an offer
through at an instant or says until when it does not, so the instant at which every rule lets it through is found by
asking again at the end of each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from features.brand import Brand
from features.catalogue import Action, Catalogue
from features.contact_policy import Budget, Period, QuietHours
from serving.contact.caps import CompiledCap, compiled, of_action
from serving.contact.consent import consent_for, missing_consent
from serving.contact.facts import MILLION, POOL, THIS_REQUEST, Charge, Facts, Initiator, Left, Terms
from serving.contact.windows import QuietClock, period_of, to_instant, to_us, zone_of
from serving.eligibility import Suppressed, as_utc
from serving.next_question.asked import asked_enough

if TYPE_CHECKING:
    from serving.offers import Offer

REFUSED = "refused"
CARRIER_LIMIT = "carrier_limit"
QUIET_HOURS = "quiet_hours"
FREQUENCY_CAP = "frequency_cap"
BUDGET = "budget"
NO_COUPON_CODE = "no_coupon_code"

NOT_NOW, NEVER = "not_now", "never"
EVERYBODY: tuple[Initiator, ...] = ("brand", "customer")
ENOUGH = 1_000
"""No request takes more units than that: a budget with more left is as good as one with endless."""
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Block:
    """A rule that keeps an offer away at an instant, and until when it does; None: for ever, or nobody knows."""

    rule: str
    detail: str
    until_us: int | None
    counter: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget: its own name, what it limits, and by which calendar it begins anew."""

    name: str
    units: int | None
    amount: int | None  # millionths of the currency's unit
    every: Period | None
    enough_amount: int  # as ENOUGH, in money


class ContactRules:
    """A brand's contact policy with the caps, budgets and coupon pools of its catalogue, compiled once."""

    def __init__(self, brand: Brand, catalogue: Catalogue) -> None:
        policy = brand.contact_policy
        self._brand = brand
        self._zone = zone_of(None, brand.time_zone)
        self._actions = {action.id: action for action in catalogue.actions}
        self._refusals = policy.refusals
        self._caps = tuple(compiled(name, cap) for name, cap in policy.frequency_caps.items())
        self._caps_of = {action.id: of_action(action.id, action.caps) for action in catalogue.actions if action.caps}
        self._quiet = {
            (channel, who): _quiet_of(policy.quiet_hours, channel, who)
            for channel in brand.channels
            for who in ("brand", "customer")
        }
        self._shared = policy.budgets
        dearest = {action.id: self._dearest(action) for action in catalogue.actions}
        most = max(dearest.values(), default=0)
        self.limits = {name: _limit(name, budget, most) for name, budget in policy.budgets.items()} | {
            name: _limit(name, action.budget, dearest[action.id])
            for action in catalogue.actions
            if action.budget is not None
            for name in (budget_of(action.id),)
        }
        incentives = [action.incentive for action in catalogue.actions if action.incentive is not None]
        self.pools = tuple(sorted({one.coupons for one in incentives if one.coupons is not None}))
        self.reservation = timedelta(hours=policy.reservation_hours)
        self._terms: dict[tuple[str, str], Terms] = {}
        caps = [*self._caps, *(cap for caps in self._caps_of.values() for cap in caps)]
        self._is_for_all = any(cap.cap.governs == "everyone" for cap in caps)
        self._counted_for_all = tuple(
            (who, max(cap.reaches_back for cap in mine) // _MICROSECOND)
            for who in EVERYBODY
            if (mine := [cap for cap in caps if cap.governs(who)])
        )
        self._periods: dict[Period, tuple[int, int]] = {}
        self._judged: dict[tuple[str, str, str], tuple[CompiledCap, ...]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing could keep an offer away: never, since refusals and carriers' limits hold for every brand."""
        return False

    def counted(self, initiated_by: Collection[str]) -> tuple[tuple[str, int], ...]:
        """Whose contacts count where these speak first, and how far back, in microseconds: those of their caps."""
        return (
            self._counted_for_all
            if self._is_for_all
            else tuple((who, back) for who, back in self._counted_for_all if who in initiated_by)
        )

    def terms(self, action_id: str, channel: str) -> Terms:
        """What choosing an action on a channel counts as and takes from which budgets."""
        key = (action_id, channel)
        if (found := self._terms.get(key)) is None:
            found = self._terms[key] = self._terms_of(action_id, channel)
        return found

    def periods(self, at_us: int) -> dict[str, int]:
        """When the present period of each budget began; 0 for all time."""
        began = {
            every: self._period(every, at_us)[0] for every in {limit.every for limit in self.limits.values()} if every
        }
        return {name: began[limit.every] if limit.every else 0 for name, limit in self.limits.items()}

    def reserved_until(self, at: datetime) -> datetime:
        """Until when something deferred at an instant is a reservation."""
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

    def send_at(self, channel: str, initiated_by: Initiator, at: datetime, zone: str | None = None) -> datetime | None:
        """When quiet hours that only delay are over; None where it may be sent at once."""
        everything, _ = self._quiet.get((channel, initiated_by), (None, None))
        if everything is None:
            return None
        span = everything.quiet_at(to_us(at), zone_of(zone, self._brand.time_zone))
        return None if span is None or span.end_us is None else to_instant(span.end_us)

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
        rule = missing_consent(
            self._brand.channels[channel],
            channel_name=channel,
            initiated_by=initiated_by,
            consents=consents,
            unsubscribed=facts.unsubscribed,
            purpose=action.purpose,
        )
        if rule is not None:
            return Block(rule, consent_for(channel, action.purpose), None)
        if facts.refusals and (block := self._refused(action, facts, at_us)) is not None:
            return block
        if action.asks is not None and (block := _asked(offer, facts, at_us)) is not None:
            return block
        for limit in facts.carrier_limits:
            if limit.channel == channel and limit.until_us > at_us:
                return Block(CARRIER_LIMIT, f"{channel}: {limit.code}", limit.until_us, {"code": limit.code})
        _, suppressing = self._quiet[channel, initiated_by]
        if suppressing is not None and (block := _quiet_now(suppressing, channel, facts, at_us, zone)) is not None:
            return block
        if facts.contacts:
            for cap in self._caps_for(action, channel, initiated_by):
                if (block := _over(cap, offer, facts, at_us, zone)) is not None:
                    return block
        for charge in self.terms(action.id, channel).charges:
            if (block := self._spent(charge, facts, at_us)) is not None:
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

    def _caps_for(self, action: Action, channel: str, initiated_by: str) -> tuple[CompiledCap, ...]:
        key = (action.id, channel, initiated_by)
        if (found := self._judged.get(key)) is None:
            found = self._judged[key] = tuple(
                cap
                for cap in (*self._caps, *self._caps_of.get(action.id, ()))
                if cap.governs(initiated_by) and cap.is_about(action.id, channel, action.tags)
            )
        return found

    # -- budgets ------------------------------------------------------------------------------------------------

    def _spent(self, charge: Charge, facts: Facts, at_us: int) -> Block | None:
        left, limit = facts.budgets.get(charge.budget), self.limits.get(charge.budget)
        if left is None:
            return None
        ends = None
        if limit is not None and limit.every is not None:
            period, ends = self._period(limit.every, at_us)
            if period != left.period_us:
                left = Left(period, limit.units, limit.amount)  # begun anew since the facts were read
        if _affords(left.at(at_us) if left.returning else left, charge):
            return None
        until = next((one.at_us for one in left.returning if _affords(left.at(one.at_us), charge)), None)
        if ends is not None and limit is not None and _affords(Left(0, limit.units, limit.amount), charge):
            until = ends if until is None else min(until, ends)
        is_pool = limit is None
        name = charge.budget.removeprefix(POOL)
        return Block(
            NO_COUPON_CODE if is_pool else BUDGET,
            f"no code is left in '{name}'" if is_pool else f"'{name}' is spent",
            until,
            _counter(name, charge, left, limit),
        )

    def _period(self, every: Period, at_us: int) -> tuple[int, int]:
        """The present period by the brand's clock: when it began, and when the next one does."""
        kept = self._periods.get(every)
        if kept is None or not kept[0] <= at_us < kept[1]:
            span = period_of(at_us, every, self._zone)
            kept = self._periods[every] = (span.start_us, span.end_us or 0)
        return kept

    def _terms_of(self, action_id: str, channel: str) -> Terms:
        action = self._actions.get(action_id)
        if action is None:  # a question that was made for the brand: nothing in any budget names it
            return Terms()
        amount = self._price(action, channel)
        names = [
            name
            for name, budget in self._shared.items()
            if (not budget.channels or channel in budget.channels)
            and (not budget.actions or action_id in budget.actions)
            and (not budget.tags or not set(budget.tags).isdisjoint(action.tags))
        ]
        if action.budget is not None:
            names.append(budget_of(action_id))
        charges = [Charge(name, 1, amount) for name in names]
        pool = action.incentive.coupons if action.incentive is not None else None
        if pool is not None:
            charges.append(Charge(POOL + pool, 1, 0))
        return Terms(tuple(action.tags), tuple(charges), pool)

    def _price(self, action: Action, channel: str) -> int:
        cost = action.incentive.cost if action.incentive is not None else 0.0
        return round((cost + self._brand.channels[channel].price) * MILLION)

    def _dearest(self, action: Action) -> int:
        return max(
            (self._price(action, channel) for channel in action.channels if channel in self._brand.channels), default=0
        )


def budget_of(action_id: str) -> str:
    """The name of an action's own budget."""
    return f"action:{action_id}"


def _asked(offer: Offer, facts: Facts, at_us: int) -> Block | None:
    """A question is asked once, and a conversation is no interview: whoever speaks first."""
    found = asked_enough(offer.action, offer.place.placement, facts.asked, at_us=at_us)
    if found is None:
        return None
    until = None if found.eligible_at is None else to_us(found.eligible_at)
    return Block(found.rule, found.detail, until, found.counter)


def _quiet_now(clock: QuietClock, channel: str, facts: Facts, at_us: int, zone: ZoneInfo) -> Block | None:
    key = (clock, channel, at_us)
    if (kept := facts.memo.get(key, clock)) is not clock:
        return kept  # type: ignore[no-any-return]
    span, block = clock.quiet_at(at_us, zone), None
    if span is not None:
        since = to_instant(span.start_us).isoformat()
        block = Block(QUIET_HOURS, f"{channel}, by the clock of {zone.key}", span.end_us, {"since": since})
    facts.memo[key] = block
    return block


def _over(cap: CompiledCap, offer: Offer, facts: Facts, at_us: int, zone: ZoneInfo) -> Block | None:
    message = (THIS_REQUEST + offer.place.name, offer.channel)
    for group in cap.groups(offer.action.id, offer.channel, offer.action.tags):
        key = (cap.name, group, message if cap.is_of_messages else None, at_us)
        block = facts.memo.get(key, cap)
        if block is cap:
            block = facts.memo[key] = _reached(cap, group, cap.leaves_at(facts, group, zone, but=message), at_us, zone)
        if block is not None:
            return block  # type: ignore[no-any-return]
    return None


def _reached(cap: CompiledCap, group: str, leaves: Sequence[int], at_us: int, zone: ZoneInfo) -> Block | None:
    most = cap.cap.at_most
    if len(leaves) < most or leaves[most - 1] <= at_us:
        return None
    counted = sum(instant > at_us for instant in leaves)
    of = f" of {group}" if group else ""
    detail = f"{cap.name}: {counted} of at most {most} {cap.cap.counts}s{of} in a {cap.window} window"
    return Block(FREQUENCY_CAP, detail, leaves[most - 1], cap.counter(counted, at_us, zone))


def _affords(left: Left, charge: Charge) -> bool:
    has_units = left.units is None or left.units >= charge.units
    return has_units and (left.amount is None or left.amount >= charge.amount)


def _counter(name: str, charge: Charge, left: Left, limit: Limit | None) -> dict[str, Any]:
    if limit is None:
        return {"pool": name, "left": left.units}
    told: dict[str, Any] = {"budget": name, "window": f"calendar {limit.every}" if limit.every else "all time"}
    if limit.units is not None:
        told |= {"left_units": left.units, "at_most_units": limit.units}
    if limit.amount is not None:
        told |= {
            "left_amount": (left.amount or 0) / MILLION,
            "at_most_amount": limit.amount / MILLION,
            "cost": charge.amount / MILLION,
        }
    if limit.every:
        told["since"] = to_instant(left.period_us).isoformat()
    return told


def _quiet_of(rules: tuple[QuietHours, ...], channel: str, who: str) -> tuple[QuietClock | None, QuietClock | None]:
    """When a channel is quiet at all, and when it is so that nothing may be chosen."""
    mine = [
        rule for rule in rules if (not rule.channels or channel in rule.channels) and rule.governs in ("everyone", who)
    ]
    suppressing = [rule for rule in mine if rule.then == "suppress"]
    return QuietClock(mine) if mine else None, QuietClock(suppressing) if suppressing else None


def _limit(name: str, budget: Budget, dearest: int) -> Limit:
    amount = None if budget.amount is None else round(budget.amount * MILLION)
    return Limit(name, budget.units, amount, budget.every, enough_amount=ENOUGH * max(dearest, 1))
