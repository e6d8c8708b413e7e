"""The decision as a pure function: no clock, no store, no randomness; they come in as arguments.

Slots are filled in order. For each one the contact rules judge what is left, the policy makes a distribution of it, and
one recorded draw takes from that; "nothing" ends the list. Nothing after a draw changes its action, so the logged
probability is the one really acted on. Invariant: a personalised customer's slot is `distribution.take(draw)`, and its
probability is that distribution's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Protocol, Self

from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from serving.contact.blocks import REFUSED
from serving.contact.consent import NO_CONSENT, UNSUBSCRIBED
from serving.decision import Decision, Slot
from serving.eligibility import Suppressed
from serving.lineup import Offers
from serving.offers import Offer, Prepared, Scores, Situation
from serving.policy import Distribution

__all__ = ["Decision", "Scores", "Situation", "Slot", "settle", "settle_all"]

NOTHING_ELIGIBLE = "nothing_eligible"
BASELINE_POLICY = "baseline"
FALLBACK_POLICY = "fallback"
OFF_SCRIPT_POLICY = "off_script"
UNKNOWN_INTENT = "unknown_intent"
TAG_LIMIT = "tag_limit"
SAID_ELSEWHERE = "said_elsewhere"
NEVER = "never"

Speaker = Literal["customer", "brand"]


class Facts(Protocol):
    """What the contact rules count: as it was read, and as it would stand after one more offer."""

    def after(
        self, offer: Offer, at: datetime, *, said_at: datetime | None = None, open_until: datetime | None = None
    ) -> Self:
        """The same with this offer decided at that instant: said then or later, or reserved until another."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, for the record."""


class Rules(Protocol):
    """The contact rules of one brand and catalogue."""

    def judge_all(
        self,
        offers: Sequence[Offer],
        facts: Any,
        *,
        initiated_by: Speaker,
        at: datetime,
        zone: str | None,
        consents: Collection[str],
    ) -> list[Suppressed | None]:
        """Why each offer may not be made, or None where it may; may be empty where every one may."""

    def send_at(self, channel: str, initiated_by: Speaker, at: datetime, zone: str | None) -> datetime | None:
        """When a message may leave where that is not at once."""

    def reserved_until(self, at: datetime) -> datetime:
        """Until when what is deferred at an instant is a reservation."""


def settle_all(asked: Sequence[Prepared], facts: Any = None, rules: Rules | None = None) -> list[Decision]:
    """One decision for each place that was asked for, in their order.

    No action is said twice, but where who asks would else get no answer: then the place's own is repeated.

    Args:
        asked: the places, prepared.
        facts: what the rules count, as of now; None where there are no rules.
        rules: the contact rules; None where there are none.
    """
    decisions: list[Decision] = []
    drawn: frozenset[str] = frozenset()
    said: frozenset[str] = frozenset()
    for prepared in asked:
        decision = settle(prepared, facts, rules, drawn=drawn, said=said)
        decisions.append(decision)
        if len(decisions) == len(asked):
            break
        drawn |= {slot.action_id for slot in decision.drawn if slot.offer}
        said |= {slot.action_id for slot in decision.said}
        if rules is not None:
            for slot in decision.drawn:
                facts = _after(facts, slot, prepared, rules)
    return decisions


def settle(
    prepared: Prepared,
    facts: Any = None,
    rules: Rules | None = None,
    *,
    drawn: frozenset[str] = frozenset(),
    said: frozenset[str] = frozenset(),
) -> Decision:
    """What the customer gets in one place.

    Args:
        prepared: everything but the counters.
        facts: what the rules count, as of now; None where there are no rules.
        rules: the contact rules; None where there are none.
        drawn: actions that the policy took in places before this one.
        said: actions that were said in places before this one.
    """
    placement, draw = prepared.placement, prepared.draws[0]
    counters = {} if facts is None else facts.as_dict()
    slots, kept_away = _filled(prepared, facts, rules, without=drawn)
    policy_name, fallback_reason = str(prepared.policy.name), prepared.scores.fallback_reason
    off_script = _off_script(prepared, facts, rules, without=said)
    if off_script is not None:
        policy_name, fallback_reason = OFF_SCRIPT_POLICY, UNKNOWN_INTENT
        slots, kept_away = (_certain(off_script, draw=draw),), ()
    elif not slots:
        policy_name, fallback_reason = FALLBACK_POLICY, NOTHING_ELIGIBLE
        answer = _answer(prepared, facts, rules, first=placement.fallback, without=said)
        slots = (_certain(answer, draw=draw, suppressed=kept_away),)
    if prepared.assignment.arm != HOLDOUT:
        return Decision(prepared, slots, (), policy_name, fallback_reason, counters, drawn, said, kept_away)
    silent = placement.initiated_by == "brand"
    unpersonalised = None if silent else _answer(prepared, facts, rules, first=placement.baseline, without=said)
    first = (_certain(unpersonalised, draw=draw),)
    return Decision(prepared, first, slots, BASELINE_POLICY, fallback_reason, counters, drawn, said, kept_away)


def _filled(
    prepared: Prepared, facts: Any, rules: Rules | None, *, without: frozenset[str]
) -> tuple[tuple[Slot, ...], tuple[Suppressed, ...]]:
    """The slots in order; none where nothing at all may be offered: then also what was kept away, and why."""
    slots: list[Slot] = []
    tags: Counter[str] = Counter()
    left, kept_away = Offers.of(prepared.offers), list[Suppressed]()
    if without:
        left, kept_away = _split(left, [SAID_ELSEWHERE if one in without else None for one in left.lineup.action_ids])
    for draw in prepared.draws:
        if rules is not None:
            left, judged = _judged(left, prepared, facts, rules)
            kept_away += judged
        if not left and (slots or prepared.nothing is None):
            break
        before = slots[-1].list_probability if slots else 1.0
        slot = _taken(left, prepared, draw, before=before, kept_away=tuple(kept_away), rules=rules)
        slots.append(slot)
        if slot.offer is None or len(slots) == len(prepared.draws):
            break
        if rules is not None:
            facts = _after(facts, slot, prepared, rules)
        tags.update(slot.offer.action.tags)
        left = left.left(tuple([one != slot.action_id for one in left.lineup.action_ids]))
        left, kept_away = _split(left, _too_many(left, tags, at_most=prepared.placement.at_most_per_tag))
    return tuple(slots), tuple(kept_away)


def _after(facts: Any, slot: Slot, prepared: Prepared, rules: Rules) -> Any:
    """What the rules count once a slot is filled."""
    if slot.offer is None:
        return facts
    at = prepared.situation.decided_at
    open_until = rules.reserved_until(max(at, slot.send_at or at)) if prepared.is_deferred else None
    return facts.after(slot.offer, at, said_at=slot.send_at, open_until=open_until)


def _taken(
    left: Offers,
    prepared: Prepared,
    draw: float,
    *,
    before: float,
    kept_away: tuple[Suppressed, ...],
    rules: Rules | None,
) -> Slot:
    """The slot that one draw fills from what is left, `nothing` included where the brand would speak first."""
    distribution = left.lineup.distribution(
        left.values,
        prepared.nothing,
        prepared.policy,
        reward_scale=prepared.reward_scale,
        new=prepared.new,
        exploration=prepared.exploration,
    )
    key, probability = distribution.taken(draw)
    offer = left.named(key)
    situation, send_at = prepared.situation, None
    if offer is not None and rules is not None:
        send_at = rules.send_at(offer.channel, situation.initiated_by, situation.decided_at, prepared.zone)
    return Slot(
        key=key,
        action_id=offer.action.id if offer else NOTHING,
        channel=offer.channel if offer else "",
        slot_probability=probability,
        list_probability=before * probability,
        draw=draw,
        distribution=distribution,
        suppressed=kept_away,
        send_at=send_at,
        offer=offer,
    )


def _judged(left: Offers, prepared: Prepared, facts: Any, rules: Rules) -> tuple[Offers, list[Suppressed]]:
    """What the rules let through, and what they keep away; they look at no value and no text."""
    situation, lineup = prepared.situation, left.lineup
    verdicts = rules.judge_all(
        lineup,
        facts,
        initiated_by=situation.initiated_by,
        at=situation.decided_at,
        zone=prepared.zone,
        consents=prepared.consents,
    )
    if not any(verdicts):
        return left, []
    kept_away = [
        verdict if offer.is_alone else replace(verdict, channel=offer.channel)
        for offer, verdict in zip(lineup, verdicts, strict=True)
        if verdict is not None
    ]
    return left.left(tuple([verdict is None for verdict in verdicts])), kept_away


def _too_many(left: Offers, tags: Mapping[str, int], *, at_most: int | None) -> list[str | None]:
    """Of each offer whether it would be one of its tag too many in this list."""
    if at_most is None:
        return [None] * len(left)
    return [TAG_LIMIT if any(tags[tag] >= at_most for tag in offer.action.tags) else None for offer in left.lineup]


def _split(left: Offers, rules: Sequence[str | None]) -> tuple[Offers, list[Suppressed]]:
    """What no rule keeps away, and the rest with the rule that does."""
    kept_away = [
        Suppressed(offer.action.id, rule, channel="" if offer.is_alone else offer.channel)
        for offer, rule in zip(left.lineup, rules, strict=True)
        if rule is not None
    ]
    return (left.left(tuple([rule is None for rule in rules])) if kept_away else left), kept_away


def _off_script(prepared: Prepared, facts: Any, rules: Rules | None, *, without: Collection[str]) -> Offer | None:
    """What answers an intent that the brand does not know; every rule about contacts holds for it."""
    offer = prepared.off_script
    if offer is None or offer.action.id in without:
        return None
    return offer if rules is None or _judged(Offers.of([offer]), prepared, facts, rules)[0] else None


def _answer(
    prepared: Prepared, facts: Any, rules: Rules | None, *, first: str, without: Collection[str]
) -> Offer | None:
    """The placement's baseline or fallback, whichever comes first and can be said.

    Only who asks is answered so, and always. What they never want to hear again, or have not consented to, comes after
    what they have nothing against: it is said where nothing else is left. Where all was said elsewhere, it is repeated.
    """
    left = [offer for offer in prepared.answers if offer.action.id not in without] or list(prepared.answers)
    left.sort(key=lambda offer: offer.action.id != first)
    if rules is None or len(left) < 2:
        return left[0] if left else None
    return next((offer for offer in left if not _is_unwanted(offer, prepared, facts, rules)), left[0])


def _is_unwanted(offer: Offer, prepared: Prepared, facts: Any, rules: Rules) -> bool:
    _, kept_away = _judged(Offers.of([offer]), prepared, facts, rules)
    return any(
        one.rule in (NO_CONSENT, UNSUBSCRIBED) or (one.rule == REFUSED and (one.counter or {}).get("reason") == NEVER)
        for one in kept_away
    )


def _certain(offer: Offer | None, *, draw: float, suppressed: tuple[Suppressed, ...] = ()) -> Slot:
    """The slot of an answer that no policy chose."""
    key = offer.key if offer else NOTHING
    return Slot(
        key=key,
        action_id=offer.action.id if offer else NOTHING,
        channel=offer.channel if offer else "",
        slot_probability=1.0,
        list_probability=1.0,
        draw=draw,
        distribution=Distribution((key,), (1.0,)),
        suppressed=suppressed,
        offer=offer,
    )
