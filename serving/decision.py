"""A decision as it is recorded: what each slot took, from which distribution, with which draw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from experiments.assignment import Assignment
from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from serving.eligibility import Suppressed
from serving.lineup import Offers
from serving.offers import Offer, Prepared, Scores, Situation
from serving.policy import Distribution
from serving.records import recorded
from serving.values import Valuation


class Slot(msgspec.Struct, frozen=True):
    """One place of the list: what was taken, from which distribution, with which draw.

    Attributes:
        key: as the distribution calls it: the action's id, or `action@channel`.
        action_id: `nothing` where the list ends with it.
        channel: empty where nothing is said.
        slot_probability: P(this | what the slots before it took).
        list_probability: P(this and every slot before it).
        draw: in [0, 1).
        distribution: over what was left.
        suppressed: what was kept away from this slot by rules that look at counters, and from the ones after it.
        send_at: from when on it may be sent; None for at once.
        offer: what was taken; None for nothing.
    """

    key: str
    action_id: str
    channel: str
    slot_probability: float
    list_probability: float
    draw: float
    distribution: Distribution
    suppressed: tuple[Suppressed, ...] = ()
    send_at: datetime | None = None
    offer: Offer | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "key": self.key,
            "action_id": self.action_id,
            "channel": self.channel,
            "slot_probability": self.slot_probability,
            "list_probability": self.list_probability,
            "draw": self.draw,
            "distribution": self.distribution.as_dict(),
            "policy_parameters": dict(self.distribution.parameters),
            "suppressed": [suppressed.as_dict() for suppressed in self.suppressed],
            "send_at": self.send_at.isoformat() if self.send_at else None,
            "cost": self.offer.cost if self.offer else 0.0,
        }


class Decision(msgspec.Struct, frozen=True, dict=True):
    """One policy's choice for one customer at one instant, with everything that it rests on.

    Attributes:
        prepared: what it was made from.
        slots: what the customer gets, at least one; `nothing` may only be the last.
        would_be: what the policy drew for a held-out customer, who got something else; else empty.
        policy_name: what chose: the policy, `baseline` or `fallback`.
        fallback_reason: why it was decided without a model or without a policy.
        counters: what the contact rules counted, as it stood before this place; empty where there are no rules.
        drawn_elsewhere: actions that the policy took in places of the same request before this one.
        said_elsewhere: actions that were said in places of the same request before this one.
        kept_away: what rules that look at counters kept from any slot of what was drawn, and so from the end of a list.
    """

    prepared: Prepared
    slots: tuple[Slot, ...]
    would_be: tuple[Slot, ...]
    policy_name: str
    fallback_reason: str | None
    counters: Mapping[str, Any] = msgspec.field(default_factory=dict)
    drawn_elsewhere: frozenset[str] = frozenset()
    said_elsewhere: frozenset[str] = frozenset()
    kept_away: tuple[Suppressed, ...] = ()

    @property
    def situation(self) -> Situation:
        """Who, where, when."""
        return self.prepared.situation

    @property
    def assignment(self) -> Assignment:
        """The customer's arm."""
        return self.prepared.assignment

    @property
    def scores(self) -> Scores:
        """What the models said."""
        return self.prepared.scores

    @property
    def versions(self) -> Mapping[str, str]:
        """Of every input, by name."""
        return self.prepared.versions

    @property
    def is_holdout(self) -> bool:
        """Whether this customer is kept from all personalisation."""
        return self.assignment.arm == HOLDOUT

    @property
    def is_drawn(self) -> bool:
        """Whether the policy chose what the customer gets, and not the placement's fallback, baseline or off-script."""
        return bool(self.slots[0].distribution.parameters)

    @property
    def drawn(self) -> tuple[Slot, ...]:
        """What the policy drew, whoever got it."""
        return self.would_be or self.slots

    @property
    def action_id(self) -> str:
        """What the customer really gets first."""
        return self.slots[0].action_id

    @property
    def action_probability(self) -> float:
        """P(that action on that channel)."""
        return self.slots[0].slot_probability

    @property
    def channel(self) -> str:
        """On which it is said; the one that was asked for, where nothing is; empty where several were."""
        asked = self.situation.channels
        return self.slots[0].channel or (asked[0] if len(asked) == 1 else "")

    @property
    def would_be_action_id(self) -> str | None:
        """What the policy would have taken first for a held-out customer."""
        return self.would_be[0].action_id if self.would_be else None

    @property
    def distribution(self) -> Distribution:
        """The policy's, over everything that could have been first."""
        return self.drawn[0].distribution

    @property
    def draw(self) -> float:
        """Of the first slot."""
        return self.drawn[0].draw

    @property
    def locale_used(self) -> str | None:
        """Of the first message; None where nothing is said."""
        offer = self.slots[0].offer
        return offer.said.locale if offer else None

    @property
    def said(self) -> tuple[Slot, ...]:
        """The slots in which something is said."""
        return tuple([slot for slot in self.slots if slot.offer is not None])

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """What could not be first, by the catalogue's rules and by those that look at counters."""
        return (*self.prepared.suppressed, *self.drawn[0].suppressed)

    @cached_property
    def candidates(self) -> tuple[tuple[str, Valuation], ...]:
        """Everything that could have been first, by key, with its value; in the catalogue's order, `nothing` last."""
        could_be = frozenset(self.distribution.action_ids)  # an answer that nobody drew may be none of them
        return tuple([one for one in _valued(self.prepared) if one[0] in could_be])

    @cached_property
    def values(self) -> tuple[tuple[str, str, float], ...]:
        """As `candidates`, by key and action, with the values alone."""
        offers, nothing = Offers.of(self.prepared.offers), self.prepared.nothing
        could_be = frozenset(self.distribution.action_ids)
        valued = zip(offers.lineup.keys, offers.lineup.action_ids, offers.values, strict=True)
        silence = [] if nothing is None else [(NOTHING, NOTHING, nothing.value)]
        return tuple([one for one in (*valued, *silence) if one[0] in could_be])

    def as_dict(self) -> dict[str, Any]:
        """Every input and output, as JSON types."""
        situation, scores, prepared = self.situation, self.scores, self.prepared
        return {
            "decision_id": situation.decision_id,
            "customer_key": situation.customer_key,
            "decided_at": situation.decided_at.isoformat(),
            "placement": situation.placement,
            "initiated_by": situation.initiated_by,
            "channel": self.channel,
            "channels": list(situation.channels),
            "locale_asked": situation.locale_asked,
            "arm": self.assignment.arm,
            "arm_probability": self.assignment.arm_probability,
            "experiment": self.assignment.experiment,
            "holdout_rate": self.assignment.holdout_rate,
            "segment": scores.segment,
            "segment_probability": scores.segment_probability,
            "stage": scores.stage,
            "propensities": {str(days): probability for days, probability in scores.propensities},
            "purchase_propensity": scores.purchase_propensity,
            "policy": self.policy_name,
            "policy_parameters": dict(self.distribution.parameters),
            "candidates": [_candidate(key, valuation) for key, valuation in _valued(prepared)],
            "new_actions": dict(prepared.new),
            "answers": [offer.key for offer in prepared.answers],
            "suppressed": [suppressed.as_dict() for suppressed in self.suppressed],
            "distribution": self.distribution.as_dict(),
            "draw": self.draw,
            "draws": list(prepared.draws),
            "slots": [slot.as_dict() for slot in self.slots],
            "would_be": [slot.as_dict() for slot in self.would_be],
            "action_id": self.action_id,
            "action_probability": self.action_probability,
            "would_be_action_id": self.would_be_action_id,
            "fallback_reason": self.fallback_reason,
            "counters": dict(self.counters),
            "drawn_elsewhere": sorted(self.drawn_elsewhere),
            "said_elsewhere": sorted(self.said_elsewhere),
            "versions": dict(self.versions),
        }

    def record(self) -> str:
        """The canonical JSON: the same bytes for the same decision."""
        return self.written()[0]

    def written(self) -> tuple[str, str]:
        """The record, and the JSON of its distribution alone; what many decisions tell alike is encoded once."""
        return recorded(self), self.distribution.told


def _valued(prepared: Prepared) -> tuple[tuple[str, Valuation], ...]:
    valued = [(offer.key, offer.valuation) for offer in prepared.offers]
    if prepared.nothing is not None:
        valued.append((NOTHING, prepared.nothing))
    return tuple(valued)


def _candidate(key: str, valuation: Valuation) -> dict[str, Any]:
    told = {
        "key": key,
        "action_id": valuation.action_id,
        "value": valuation.value,
        "rate": valuation.rate.rate,
        "n_decided": valuation.rate.n_decided,
        "n_converted": valuation.rate.n_converted,
        "prior": valuation.rate.prior,
    }
    if valuation.reward is not None:
        told["reward"] = valuation.reward
    if valuation.base is not None:
        told["base"] = valuation.base
    return told | {"worth": valuation.worth.as_dict()} if valuation.worth else told
