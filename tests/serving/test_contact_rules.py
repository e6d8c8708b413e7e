"""The contact policy: whom each rule governs, what it counts, and exactly when an offer is eligible again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import Catalogue, Incentive
from features.contact_policy import (
    Budget,
    Cap,
    ContactPolicy,
    FrequencyCap,
    Governs,
    QuietHours,
    Refusals,
    SharedBudget,
)
from serving.contact.facts import CarrierLimit, Contact, Facts, Left, Refusal, Returning, facts_of
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.eligibility import Suppressed
from serving.offers import Offer
from tests.serving.judged_contacts import CAPS, DAY, FACTS, HOUR, HOURS, MICROSECOND, facts_with, judged, rules_of, said
from tests.serving.tiny_offers import an_offer
from tests.serving.tiny_world import NOON, a_brand, an_action

# -- frequency caps ---------------------------------------------------------------------------------------------------


def test_a_customer_at_the_cap_gets_nothing_until_the_window_has_let_one_go() -> None:
    rules = rules_of(frequency_caps={"weekly": FrequencyCap(at_most=2, rolling_days=7)})
    facts = facts_with(said(NOON - 6 * DAY), said(NOON - DAY))
    verdict = judged(rules, facts)
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("frequency_cap", NOON + DAY)
    assert verdict.counter == {
        "cap": "weekly",
        "counted": 2,
        "at_most": 2,
        "counts": "exposure",
        "window": "rolling 7 days",
        "since": (NOON - 7 * DAY).isoformat(),
    }
    assert judged(rules, facts, at=NOON + DAY) is None


def test_a_calendar_cap_begins_anew_at_the_customers_midnight() -> None:
    rules = rules_of(frequency_caps={"daily": FrequencyCap(at_most=1, calendar="day")})
    facts = facts_with(said(NOON - HOUR))
    utc, india = judged(rules, facts), judged(rules, facts, zone="Asia/Kolkata")
    assert utc is not None
    assert utc.eligible_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert india is not None
    assert india.eligible_at == datetime(2026, 3, 1, 18, 30, tzinfo=UTC)


def test_a_rule_governs_and_counts_those_who_speak_first_there() -> None:
    mine, theirs = said(NOON - HOUR), said(NOON - HOUR, initiated_by="customer")
    cases: list[tuple[Governs, Contact, str, bool]] = [
        ("brand", mine, "brand", True),
        ("brand", theirs, "brand", False),
        ("brand", mine, "customer", False),
        ("customer", theirs, "customer", True),
        ("customer", mine, "customer", False),
        ("everyone", theirs, "brand", True),
        ("everyone", mine, "customer", True),
    ]
    for governs, contact, who, is_kept_away in cases:
        rules = rules_of(frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=1, governs=governs)})
        assert (judged(rules, facts_with(contact), who=who) is not None) is is_kept_away, (governs, who)


@pytest.mark.parametrize(
    ("counts", "changes", "is_counted"),
    [
        ("decision", {"exposed_at_us": None}, True),
        ("exposure", {"exposed_at_us": None}, False),  # released: it failed, or nobody saw it
        ("exposure", {"exposed_at_us": None, "open_until_us": to_us(NOON + HOUR)}, True),
        ("exposure", {"exposed_at_us": None, "open_until_us": to_us(NOON)}, False),
        ("click", {}, False),
        ("click", {"clicked_at_us": to_us(NOON - HOUR)}, True),
        ("conversion", {"clicked_at_us": to_us(NOON - HOUR)}, False),
        ("conversion", {"converted_at_us": to_us(NOON - HOUR)}, True),
    ],
)
def test_a_cap_counts_what_it_says(counts: Any, changes: dict[str, Any], is_counted: bool) -> None:
    rules = rules_of(frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=1, counts=counts)})
    facts = facts_with(said(NOON - 2 * HOUR)._replace(**changes))
    assert (judged(rules, facts) is not None) is is_counted


def test_an_open_reservation_counts_until_it_ends() -> None:
    rules = rules_of(frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=7)})
    verdict = judged(rules, facts_with(said(NOON - HOUR, exposed_at_us=None, open_until_us=to_us(NOON + HOUR))))
    assert verdict is not None
    assert verdict.eligible_at == NOON + HOUR


def test_filters_and_each_say_what_is_counted_together() -> None:
    sale = an_offer("sale", channel="chat", placement="weekly", tags=("sale", "news"))
    news = an_offer("news", channel="chat", placement="weekly", tags=("news",))
    about_sale = said(NOON - HOUR, "other", tags=("sale",))
    catalogue = (an_action("sale", tags=("sale", "news")), an_action("news", tags=("news",)))

    def is_kept(offer: Offer, contact: Contact, **cap: Any) -> bool:
        rules = rules_of(*catalogue, frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=1, **cap)})
        return judged(rules, facts_with(contact), offer=offer) is not None

    assert is_kept(sale, about_sale, tags=("sale",))
    assert not is_kept(news, about_sale, tags=("sale",))
    assert is_kept(sale, about_sale, each="tag")
    assert not is_kept(news, about_sale, each="tag")
    assert is_kept(sale, said(NOON - HOUR, "sale"), each="action")
    assert not is_kept(news, said(NOON - HOUR, "sale"), each="action")
    assert is_kept(news, about_sale, channels=("chat",))
    assert not is_kept(news, about_sale, channels=("mail",))
    assert not is_kept(news, about_sale._replace(channel="mail"), each="channel")
    assert is_kept(news, about_sale, actions=("news", "other"))
    assert not is_kept(news, about_sale, actions=("news",))


def test_a_list_in_one_message_is_one_contact_and_each_of_its_actions_counts_for_itself() -> None:
    caps = {"messages": FrequencyCap(at_most=1, rolling_days=1)}
    tagged = caps | {"sales": FrequencyCap(at_most=1, rolling_days=1, tags=("sale",))}
    first = an_offer("a", channel="chat", placement="weekly", tags=("sale",))
    second = an_offer("b", channel="chat", placement="weekly", tags=("sale",))
    elsewhere = an_offer("b", channel="mail", placement="weekly", tags=("sale",))
    actions = (an_action("a", tags=("sale",)), an_action("b", tags=("sale",)))
    after = Facts().after(first, NOON)
    assert judged(rules_of(*actions, frequency_caps=caps), after, offer=second) is None
    on_mail = judged(rules_of(*actions, frequency_caps=caps), after, offer=elsewhere)
    assert on_mail is not None
    assert on_mail.rule == "frequency_cap"
    sold = judged(rules_of(*actions, frequency_caps=tagged), after, offer=second)
    assert sold is not None
    assert sold.counter is not None
    assert sold.counter["cap"] == "sales"


def test_an_actions_own_cap_is_its_own() -> None:
    tip = an_action("tip", caps=(Cap(at_most=1, rolling_days=30, governs="everyone"),))
    rules = rules_of(tip, an_action("other"))
    facts = facts_with(said(NOON - DAY))
    verdict = judged(rules, facts, who="customer")
    assert verdict is not None
    assert verdict.counter is not None
    assert verdict.counter["cap"] == "tip.caps[1]"
    assert judged(rules, facts, offer=an_offer("other", channel="chat", placement="weekly")) is None


# -- quiet hours --------------------------------------------------------------------------------------------------


def test_quiet_hours_hold_by_the_customers_clock_and_for_whom_they_govern() -> None:
    rules = rules_of(quiet_hours=(QuietHours(start="21:00", until="08:00"),))
    at = datetime(2026, 3, 1, 16, tzinfo=UTC)  # 21:30 in India
    verdict = judged(rules, Facts(), at=at, zone="Asia/Kolkata")
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("quiet_hours", datetime(2026, 3, 2, 2, 30, tzinfo=UTC))
    assert judged(rules, Facts(), at=at) is None  # the brand's clock is UTC
    assert judged(rules, Facts(), at=at, zone="Asia/Kolkata", who="customer") is None


def test_who_shares_their_facts_with_others_keeps_their_own_clock() -> None:
    rules, nothing = rules_of(quiet_hours=(QuietHours(start="21:00", until="08:00"),)), Facts()
    at, offer = datetime(2026, 3, 1, 16, tzinfo=UTC), an_offer("tip", channel="chat", placement="weekly")
    found = [rules.judge(offer, nothing, initiated_by="brand", at=at, zone=zone) for zone in (None, "Asia/Kolkata")]
    assert [one and one.rule for one in found] == [None, "quiet_hours"]


def test_quiet_hours_that_wait_let_choose_and_say_when_to_send() -> None:
    night = QuietHours(start="21:00", until="08:00", then="wait", channels=("mail",))
    rules = rules_of(quiet_hours=(night,))
    at = NOON + 10 * HOUR
    assert judged(rules, Facts(), at=at, offer=an_offer("tip", channel="mail", placement="weekly")) is None
    assert rules.send_at("mail", "brand", at) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert rules.send_at("mail", "brand", NOON) is None
    assert rules.send_at("chat", "brand", at) is None


def test_what_waits_is_never_sent_into_hours_that_suppress() -> None:
    wait, strict = (
        QuietHours(start="21:00", until="08:00", then="wait"),
        QuietHours(start="07:00", until="09:00"),
    )
    rules = rules_of(quiet_hours=(wait, strict))
    assert rules.send_at("mail", "brand", NOON + 10 * HOUR) == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_what_would_be_over_before_it_may_be_sent_is_not_chosen() -> None:
    night = QuietHours(start="21:00", until="08:00", then="wait", channels=("mail",))
    at, morning = NOON + 10 * HOUR, datetime(2026, 3, 2, 8, tzinfo=UTC)
    ending = {"at_night": morning - HOUR, "at_eight": morning, "later": morning + MICROSECOND}
    offers = [
        an_offer(name, channel=channel, placement="weekly", valid_until=ending.get(name))
        for name in (*ending, "tip")
        for channel in ("mail", "chat")
    ]
    rules = rules_of(*{offer.action.id: offer.action for offer in offers}.values(), quiet_hours=(night,))
    alone = [judged(rules, Facts(), offer=offer, at=at) for offer in offers]
    assert alone == rules.judge_all(offers, Facts(), initiated_by="brand", at=at, consents=("mail",))
    kept_away = [one for one in alone if one is not None]
    assert [(one.action_id, one.rule, one.eligible_at) for one in kept_away] == [
        ("at_night", "quiet_hours", None),
        ("at_eight", "quiet_hours", None),
    ]


def test_what_waits_for_hours_that_never_end_is_not_sent_at_once() -> None:
    half, rest = (
        QuietHours(start="00:00", until="12:00", then="wait"),
        QuietHours(start="12:00", until="00:00", then="wait"),
    )
    rules, offer = rules_of(quiet_hours=(half, rest)), an_offer("tip", channel="mail", placement="weekly")
    (verdict,) = rules.judge_all([offer], Facts(), initiated_by="brand", at=NOON, consents=("mail",))
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("quiet_hours", None)


# -- refusals, carriers, consent ----------------------------------------------------------------------------------


def test_not_now_rests_for_its_days_and_never_for_ever_whoever_speaks_first() -> None:
    rules = rules_of(refusals=Refusals(not_now_days=14))
    not_now = facts_with(refusals=(Refusal("tip", "not_now", to_us(NOON - DAY)),))
    never = facts_with(refusals=(Refusal("tip", "never", to_us(NOON - 900 * DAY)),))
    for who in ("brand", "customer"):
        verdict = judged(rules, not_now, who=who)
        assert verdict is not None
        assert (verdict.rule, verdict.eligible_at) == ("refused", NOON + 13 * DAY)
        verdict = judged(rules, never, who=who)
        assert verdict is not None
        assert (verdict.rule, verdict.eligible_at) == ("refused", None)


def test_a_refusal_covers_the_action_its_tags_or_everything() -> None:
    actions = (an_action("a", tags=("sale",)), an_action("b", tags=("sale",)), an_action("c"))
    facts = facts_with(refusals=(Refusal("a", "not_now", to_us(NOON)),))
    for covers, kept in [("action", {"a"}), ("tags", {"a", "b"}), ("everything", {"a", "b", "c"})]:
        rules = rules_of(*actions, refusals=Refusals.model_validate({"covers": covers}))
        offers = {one.id: an_offer(one.id, channel="chat", placement="weekly", tags=one.tags) for one in actions}
        assert {name for name, offer in offers.items() if judged(rules, facts, offer=offer)} == kept


def test_a_carriers_limit_holds_on_its_channel_until_its_end() -> None:
    facts = facts_with(carrier_limits=(CarrierLimit("chat", to_us(NOON + HOUR), "131049"),))
    verdict = judged(rules_of(), facts, who="customer")
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("carrier_limit", NOON + HOUR)
    assert judged(rules_of(), facts, offer=an_offer("tip", channel="mail", placement="weekly")) is None


def test_consent_is_asked_for_by_channel_and_purpose() -> None:
    mail = an_offer("tip", channel="mail", placement="weekly")
    service = an_offer("tip", channel="mail", placement="weekly", purpose="service")
    assert judged(rules_of(), Facts(), offer=mail, consents=()) == Suppressed("tip", "no_consent", "mail")
    assert judged(rules_of(), Facts(), offer=mail, consents=("mail",)) is None
    assert judged(rules_of(), Facts(), offer=service, consents=("mail",)) is not None
    assert judged(rules_of(), Facts(), offer=service, consents=("mail/service",)) is None
    left = judged(rules_of(), Facts(unsubscribed=frozenset({"mail"})), offer=mail)
    assert left is not None
    assert left.rule == "unsubscribed"


# -- budgets and pools --------------------------------------------------------------------------------------------


def test_a_spent_budget_begins_anew_with_its_period_by_the_brands_clock() -> None:
    tip = an_action("tip", budget=Budget(units=10, every="month"))
    rules = rules_of(tip)
    march = to_us(datetime(2026, 3, 1, tzinfo=UTC))
    assert rules.periods(to_us(NOON)) == {"action:tip": march}
    verdict = judged(rules, facts_with(budgets={"action:tip": Left(march, 0)}))
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("budget", datetime(2026, 4, 1, tzinfo=UTC))
    assert verdict.counter is not None
    assert verdict.counter["at_most_units"] == 10
    assert judged(rules, facts_with(budgets={"action:tip": Left(march, 1)})) is None


def test_money_pays_for_the_incentive_and_the_channel() -> None:
    coupon = an_action("coupon", incentive=Incentive(kind="amount", value=30, cost=30))
    rules = rules_of(coupon, budgets={"all": SharedBudget(amount=100)})
    offer = an_offer("coupon", channel="chat", placement="weekly")
    assert rules.terms("coupon", "chat").charges == (("all", 1, 31_000_000),)  # 30 + 1 for the chat
    assert judged(rules, facts_with(budgets={"all": Left(0, None, 31_000_000)}), offer=offer) is None
    assert judged(rules, facts_with(budgets={"all": Left(0, None, 30_999_999)}), offer=offer) is not None


def test_what_an_open_reservation_will_give_back_is_when_a_budget_is_there_again() -> None:
    rules = rules_of(an_action("tip", budget=Budget(units=5)))
    back = (Returning(to_us(NOON + HOUR), 1, 0), Returning(to_us(NOON + 2 * HOUR), 1, 0))
    verdict = judged(rules, facts_with(budgets={"action:tip": Left(0, 0, None, back)}))
    assert verdict is not None
    assert verdict.eligible_at == NOON + HOUR
    spent = judged(rules, facts_with(budgets={"action:tip": Left(0, 0)}))
    assert spent is not None
    assert spent.eligible_at is None


def test_an_empty_pool_of_codes_keeps_its_offers_away() -> None:
    offer = an_action("gift", incentive=Incentive(kind="free_item", value=1, cost=5, coupons="spring"))
    rules = rules_of(offer)
    gift = an_offer("gift", channel="chat", placement="weekly")
    one = facts_with(budgets={"coupons:spring": Left(0, 1)}, terms=rules.terms)
    assert judged(rules, one, offer=gift) is None
    after = one.after(gift, NOON)
    assert after.codes_left == {"spring": 0}
    verdict = judged(rules, after, offer=gift)
    assert verdict is not None
    assert (verdict.rule, verdict.counter) == ("no_coupon_code", {"pool": "spring", "left": 0})


# -- all of them --------------------------------------------------------------------------------------------------


def test_who_is_kept_away_by_two_rules_is_told_when_both_are_over() -> None:
    rules = rules_of(
        quiet_hours=(QuietHours(start="21:00", until="08:00"),),
        frequency_caps={"one": FrequencyCap(at_most=1, rolling_hours=24)},
    )
    facts = facts_with(said(NOON - 2 * HOUR))  # the cap ends at 10:00, after the night
    verdict = judged(rules, facts, at=NOON + 10 * HOUR)
    assert verdict is not None
    assert (verdict.rule, verdict.eligible_at) == ("quiet_hours", NOON + 22 * HOUR)


def test_an_action_that_ends_before_is_not_eligible_again() -> None:
    rules = rules_of(frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=7)})
    ending = an_offer("tip", channel="chat", placement="weekly", valid_until=NOON + DAY)
    verdict = judged(rules, facts_with(said(NOON - HOUR)), offer=ending)
    assert verdict is not None
    assert verdict.eligible_at is None


@settings(max_examples=400, deadline=None)
@given(
    caps=st.lists(CAPS, max_size=3),
    hours=st.lists(HOURS, max_size=2),
    facts=FACTS,
    zone=st.sampled_from([None, "Asia/Kolkata", "America/New_York", "Europe/Berlin"]),
    minutes=st.integers(0, 40 * 1_440),
)
def test_an_offer_is_kept_away_until_just_before_it_is_eligible_again(
    caps: list[FrequencyCap], hours: list[QuietHours], facts: Facts, zone: str | None, minutes: int
) -> None:
    tip = an_action("tip", tags=("sale",), budget=Budget(units=1, every="month"))
    rules = rules_of(tip, quiet_hours=tuple(hours), frequency_caps={f"c{i}": cap for i, cap in enumerate(caps)})
    offer = an_offer("tip", channel="chat", placement="weekly", tags=("sale",))
    at = NOON + timedelta(minutes=minutes)

    def verdict(instant: datetime) -> Suppressed | None:
        return judged(rules, facts, offer=offer, at=instant, zone=zone)

    if (found := verdict(at)) is None:
        return
    if found.eligible_at is None:
        assert all(verdict(at + days * DAY) is not None for days in (1, 8, 33, 90))
        return
    assert found.eligible_at > at
    assert verdict(found.eligible_at - MICROSECOND) is not None
    assert verdict(found.eligible_at) is None
    halfway = at + (found.eligible_at - at) / 2
    assert verdict(halfway) is not None


@settings(max_examples=50, deadline=None)
@given(facts=FACTS)
def test_facts_say_themselves_as_json_and_back(facts: Facts) -> None:
    import json

    assert facts_of(json.loads(json.dumps(facts.as_dict()))) == facts


def test_a_catalogue_of_nothing_special_takes_nothing() -> None:
    rules = ContactRules(a_brand(), Catalogue(actions=(an_action("tip"),)))
    assert rules.terms("tip", "chat").charges == ()
    assert (rules.limits, rules.pools, rules.counted(("brand", "customer"))) == ({}, (), ())
    assert judged(rules, Facts()) is None


def test_the_caps_of_a_place_are_found_once_whoever_is_named_first() -> None:
    caps = {governs: FrequencyCap(at_most=1, calendar="day", governs=governs) for governs in ("brand", "customer")}
    brand = a_brand(contact_policy=ContactPolicy(frequency_caps=caps))
    rules = ContactRules(brand, Catalogue(actions=(an_action("tip"),)))
    both = rules.caps_of(("brand", "customer"))
    assert [cap.name for cap in both] == ["brand", "customer"]
    assert [cap.name for cap in rules.caps_of(("customer",))] == ["customer"]
    assert rules.caps_of(("customer", "brand")) is both
