"""What the rules about contacts rest on: what was said to a customer, what they refused, and what is left to give.

Facts are values: read once before a decision and once more in its transaction, they are equal where nothing that
matters has changed. `after` says what they are once something more has been chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from serving.contact.windows import to_us
from serving.next_question.asked import NEVER_ASKED, AskedBefore

if TYPE_CHECKING:
    from serving.offers import Offer

MILLION = 1_000_000
POOL = "coupons:"
"""Before the name of a pool of coupon codes, which is kept as a budget of units is."""
THIS_REQUEST = "\x00"
"""Begins the decision id of what is being chosen just now: no id of a decision does."""

BY_ACTION = "by action"

Initiator = Literal["brand", "customer"]


class Contact(NamedTuple):
    """One thing that was chosen for a customer; instants in microseconds since the epoch."""

    decision_id: str
    action_id: str
    channel: str
    tags: tuple[str, ...]
    initiated_by: str
    decided_at_us: int
    exposed_at_us: int | None = None  # when the customer could see it
    open_until_us: int | None = None  # while it is a reservation; none of both: released
    clicked_at_us: int | None = None
    converted_at_us: int | None = None

    @property
    def message(self) -> tuple[str, str]:
        """What is said together, on one channel, is one message."""
        return self.decision_id, self.channel


class Refusal(NamedTuple):
    """The last "not now" or the "never" to an action."""

    action_id: str
    reason: str  # not_now | never
    refused_at_us: int


class CarrierLimit(NamedTuple):
    """A provider said that this customer may not be written to for a while."""

    channel: str
    until_us: int
    code: str


class Returning(NamedTuple):
    """What an open reservation gives back unless it is exposed by then."""

    at_us: int
    units: int
    amount: int  # millionths of the currency's unit


class Left(NamedTuple):
    """What is left of a budget in a period; far from its end it is clipped, so that facts stay equal."""

    period_us: int  # when the period began; 0: all time
    units: int | None = None  # None: it has no such limit
    amount: int | None = None  # millionths of the currency's unit
    returning: tuple[Returning, ...] = ()  # the next ones; only near the end

    def at(self, at_us: int) -> Left:
        """With what will have been given back by then."""
        back = [one for one in self.returning if one.at_us <= at_us]
        if not back:
            return self
        units = None if self.units is None else self.units + sum(one.units for one in back)
        amount = None if self.amount is None else self.amount + sum(one.amount for one in back)
        return self._replace(units=units, amount=amount, returning=self.returning[len(back) :])


class Charge(NamedTuple):
    """What choosing something takes from a budget or a pool."""

    budget: str
    units: int
    amount: int  # millionths of the currency's unit


class Terms(NamedTuple):
    """What choosing an action on a channel counts as and takes."""

    tags: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    pool: str | None = None  # of coupon codes


def no_terms(action_id: str, channel: str) -> Terms:
    """Of whatever no catalogue has terms for."""
    return Terms()


class Facts(msgspec.Struct, frozen=True, eq=False):
    """Everything that the rules ask about one customer and the brand's budgets at one instant.

    Attributes:
        memo: of the rules, for these facts; no part of what they are, as `terms` is none.
    """

    contacts: tuple[Contact, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    carrier_limits: tuple[CarrierLimit, ...] = ()
    unsubscribed: frozenset[str] = frozenset()
    budgets: Mapping[str, Left] = msgspec.field(default_factory=dict)
    asked: AskedBefore = NEVER_ASKED  # the questions; read only where one may be asked
    terms: Callable[[str, str], Terms] = no_terms
    memo: dict[object, Any] = msgspec.field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._counted() == other._counted()

    __hash__ = None  # type: ignore[assignment]  # as of what it holds

    def _counted(self) -> tuple[object, ...]:
        return self.contacts, self.refusals, self.carrier_limits, self.unsubscribed, self.budgets, self.asked

    @property
    def codes_left(self) -> dict[str, int]:
        """How many codes each pool has, as far as it matters."""
        return {name[len(POOL) :]: left.units or 0 for name, left in self.budgets.items() if name.startswith(POOL)}

    def of_action(self, action_id: str) -> Sequence[tuple[int, Contact]]:
        """The contacts that said one action, each with its place among all of them."""
        if (by_action := self.memo.get(BY_ACTION)) is None:
            by_action = self.memo[BY_ACTION] = {}
            for number, contact in enumerate(self.contacts):
                by_action.setdefault(contact.action_id, []).append((number, contact))
        return by_action.get(action_id, ())  # type: ignore[no-any-return]

    def after(
        self, offer: Offer, at: datetime, *, said_at: datetime | None = None, open_until: datetime | None = None
    ) -> Facts:
        """The facts once an offer has been chosen as well.

        Args:
            offer: what was chosen.
            at: when it was decided.
            said_at: when it will be said, where that is later.
            open_until: of a deferred one, until when it is a reservation.
        """
        terms = self.terms(offer.action.id, offer.channel)
        contact = Contact(
            decision_id=THIS_REQUEST + offer.place.name,
            action_id=offer.action.id,
            channel=offer.channel,
            tags=tuple(offer.action.tags),
            initiated_by=offer.place.placement.initiated_by,
            decided_at_us=to_us(at),
            exposed_at_us=None if open_until else to_us(said_at or at),
            open_until_us=to_us(open_until) if open_until else None,
        )
        budgets = dict(self.budgets)
        for charge in terms.charges:
            if (left := budgets.get(charge.budget)) is not None:
                budgets[charge.budget] = left._replace(
                    units=None if left.units is None else left.units - charge.units,
                    amount=None if left.amount is None else left.amount - charge.amount,
                )
        trait = offer.action.asks
        asked = self.asked if trait is None else self.asked.also(trait)
        return replace(self, contacts=(*self.contacts, contact), budgets=budgets, asked=asked, memo={})

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, for the record of a decision; what nobody has is left out."""
        told: dict[str, Any] = {}
        if self.contacts:
            told["contacts"] = [[*contact[:3], list(contact.tags), *contact[4:]] for contact in self.contacts]
        if self.refusals:
            told["refusals"] = [list(refusal) for refusal in self.refusals]
        if self.carrier_limits:
            told["carrier_limits"] = [list(limit) for limit in self.carrier_limits]
        if self.unsubscribed:
            told["unsubscribed"] = sorted(self.unsubscribed)
        if self.budgets:
            told["budgets"] = {
                name: [left.period_us, left.units, left.amount, [list(one) for one in left.returning]]
                for name, left in sorted(self.budgets.items())
            }
        if self.asked is not NEVER_ASKED and self.asked != NEVER_ASKED and (asked := self.asked.as_dict()):
            told["asked"] = asked
        return told


def facts_of(told: Mapping[str, Any], *, terms: Callable[[str, str], Terms] = no_terms) -> Facts:
    """The facts that `as_dict` told of."""
    return Facts(
        contacts=tuple(Contact._make((*one[:3], tuple(one[3]), *one[4:])) for one in told.get("contacts", ())),
        refusals=tuple(Refusal(*one) for one in told.get("refusals", ())),
        carrier_limits=tuple(CarrierLimit(*one) for one in told.get("carrier_limits", ())),
        unsubscribed=frozenset(told.get("unsubscribed", ())),
        budgets={
            name: Left(period, units, amount, tuple(Returning(*one) for one in returning))
            for name, (period, units, amount, returning) in told.get("budgets", {}).items()
        },
        asked=AskedBefore.of_dict(told["asked"]) if "asked" in told else NEVER_ASKED,
        terms=terms,
    )
