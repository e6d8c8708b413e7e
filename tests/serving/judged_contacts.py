"""Contacts of the past and rules over them: by name, and any at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from features.brand import Brand
from features.catalogue import Action
from features.contact_policy import ContactPolicy, FrequencyCap, QuietHours
from serving.contact.facts import CarrierLimit, Contact, Facts, Left, Refusal, Returning
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.eligibility import Suppressed
from serving.offers import Offer
from tests.serving.tiny_offers import an_offer
from tests.serving.tiny_world import NOON, a_brand, a_catalogue, an_action

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
MAIL = ("mail",)


def rules_of(*actions: Action, brand: Brand | None = None, **policy: Any) -> ContactRules:
    brand = brand or a_brand(contact_policy=ContactPolicy(**policy))
    return ContactRules(brand, a_catalogue(*(actions or (an_action("tip"),))))


def said(at: datetime | None, action_id: str = "tip", **changes: Any) -> Contact:
    """Something that the brand said first, over the chat, and that was seen at once."""
    instant = to_us(at) if at else None
    row = Contact("d", action_id, "chat", (), "brand", to_us(at or NOON), instant)
    return row._replace(decision_id=f"d-{instant}", **changes)


def judged(
    rules: ContactRules,
    facts: Facts,
    *,
    offer: Offer | None = None,
    who: Any = "brand",
    at: datetime = NOON,
    zone: str | None = None,
    consents: tuple[str, ...] = MAIL,
) -> Suppressed | None:
    offer = offer or an_offer("tip", channel="chat", placement="weekly")
    return rules.judge(offer, replace(facts, memo={}), initiated_by=who, at=at, zone=zone, consents=consents)


def facts_with(*contacts: Contact, **more: Any) -> Facts:
    return Facts(contacts=contacts, **more)


def instants(low: int = -40, high: int = 3) -> st.SearchStrategy[int]:
    return st.integers(to_us(NOON + low * DAY), to_us(NOON + high * DAY))


CAPS = st.builds(
    FrequencyCap,
    at_most=st.integers(1, 3),
    counts=st.sampled_from(["decision", "exposure", "click"]),
    governs=st.sampled_from(["brand", "everyone"]),
    tags=st.sampled_from([(), ("sale",)]),
    each=st.sampled_from([None, "action", "tag", "channel"]),
    rolling_hours=st.none(),
    rolling_days=st.just(None),
    calendar=st.sampled_from(["day", "week", "month"]),
) | st.builds(
    FrequencyCap,
    at_most=st.integers(1, 3),
    rolling_hours=st.floats(0.5, 900),
    each=st.sampled_from([None, "action"]),
)
HOURS = st.builds(
    QuietHours,
    start=st.times().map("{:%H:%M}".format),
    until=st.times().map("{:%H:%M}".format),
    days=st.sampled_from([(), ("sunday",), ("saturday", "sunday", "monday")]),
    then=st.sampled_from(["suppress", "wait"]),
)
CONTACTS = st.builds(
    Contact,
    decision_id=st.sampled_from("abcdefgh"),
    action_id=st.sampled_from(["tip", "other"]),
    channel=st.sampled_from(["chat", "mail"]),
    tags=st.sampled_from([(), ("sale",), ("sale", "news")]),
    initiated_by=st.sampled_from(["brand", "customer"]),
    decided_at_us=instants(),
    exposed_at_us=st.none() | instants(),
    open_until_us=st.none() | instants(-1),
    clicked_at_us=st.none() | instants(),
)
LEFTS = st.builds(
    Left,
    period_us=st.just(to_us(datetime(2026, 3, 1, tzinfo=UTC))),
    units=st.integers(0, 1),
    returning=st.lists(
        st.builds(Returning, at_us=instants(0, 40), units=st.just(1), amount=st.just(0)), max_size=2
    ).map(lambda found: tuple(sorted(found))),
)
FACTS = st.builds(
    Facts,
    contacts=st.lists(CONTACTS, max_size=8).map(tuple),
    refusals=st.none().map(lambda _: ())
    | st.builds(Refusal, st.just("tip"), st.just("not_now"), instants()).map(lambda r: (r,)),
    carrier_limits=st.just(()) | st.builds(CarrierLimit, st.just("chat"), instants(), st.just("x")).map(lambda c: (c,)),
    budgets=LEFTS.map(lambda left: {"action:tip": left}),
)
