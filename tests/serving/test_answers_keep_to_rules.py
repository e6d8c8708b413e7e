"""What answers when no policy chooses: off-script, fallback and baseline keep to what the customer has said of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from experiments.records import HOLDOUT, PERSONALISED
from features.contact_policy import Budget, ContactPolicy, FrequencyCap, Refusals
from serving.contact.facts import Contact, Facts, Left, Refusal
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.decide import Decision, settle
from tests.serving.tiny_offers import an_offer, prepared
from tests.serving.tiny_world import NOON, a_brand, a_catalogue, an_action

HELP, BEST, HUMAN = "help", "bestsellers", "human"


def refused(*action_ids: str, reason: str = "never") -> Facts:
    return Facts(refusals=tuple(Refusal(name, reason, to_us(NOON - timedelta(days=1))) for name in action_ids))


def decided(
    facts: Facts | None = None,
    *,
    off_script: str | None = None,
    arm: str = PERSONALISED,
    channel: str = "web",
    who: Literal["brand", "customer"] = "customer",
    rules: ContactRules | None = None,
    **purposes: str,
) -> Decision:
    def offer(name: str) -> Any:
        return an_offer(name, channel=channel, purpose=purposes.get(name, "marketing"))

    asked = prepared(
        "d-1",
        arm=arm,
        initiated_by=who,
        answers=(offer(HELP), offer(BEST)),
        off_script=offer(off_script) if off_script else None,
        consents=("mail/service",),
    )
    rules = rules or ContactRules(a_brand(), a_catalogue(*(an_action(name) for name in (HELP, BEST, HUMAN))))
    return settle(asked, facts or Facts(), rules)


def test_an_unknown_intent_is_answered_off_script_where_no_rule_is_against_it() -> None:
    assert (decided(off_script=HUMAN).action_id, decided(off_script=HUMAN).policy_name) == (HUMAN, "off_script")


@pytest.mark.parametrize("reason", ["never", "not_now"])
def test_an_off_script_answer_that_was_refused_is_not_said(reason: str) -> None:
    decision = decided(refused(HUMAN, reason=reason), off_script=HUMAN)
    assert (decision.action_id, decision.policy_name, decision.fallback_reason) == (
        HELP,
        "fallback",
        "nothing_eligible",
    )


def test_an_off_script_answer_without_consent_is_not_said() -> None:
    assert decided(off_script=HUMAN, channel="mail").action_id == HELP
    assert decided(off_script=HUMAN, channel="mail", human="service").action_id == HUMAN


def test_where_the_brand_speaks_first_nothing_is_said_without_consent() -> None:
    decision = decided(off_script=HUMAN, channel="mail", who="brand")
    assert (decision.action_id, decision.policy_name) == ("nothing", "greedy")


def test_caps_and_budgets_hold_for_an_off_script_answer() -> None:
    human = an_action(HUMAN, budget=Budget(units=5))
    spent = ContactRules(a_brand(), a_catalogue(human))
    assert decided(Facts(budgets={"action:human": Left(0, 0)}), off_script=HUMAN, rules=spent).action_id == HELP
    said = Contact("d", HUMAN, "web", (), "customer", to_us(NOON) - 1, to_us(NOON) - 1)
    for governs, answer in (("customer", HELP), ("brand", HUMAN)):
        cap = FrequencyCap.model_validate({"at_most": 1, "rolling_days": 1, "governs": governs})
        brand = a_brand(contact_policy=ContactPolicy(frequency_caps={"one": cap}))
        capped = ContactRules(brand, a_catalogue(an_action(HUMAN)))
        assert decided(Facts(contacts=(said,)), off_script=HUMAN, rules=capped).action_id == answer


def test_a_fallback_that_was_refused_for_ever_gives_way_to_the_baseline_and_the_other_way_round() -> None:
    assert decided(refused(HELP)).action_id == BEST
    assert decided(refused(HELP, reason="not_now")).action_id == HELP
    assert decided(arm=HOLDOUT).action_id == BEST
    assert decided(refused(BEST), arm=HOLDOUT).action_id == HELP


def test_whoever_asks_is_answered_though_they_refused_everything() -> None:
    everything = a_brand(contact_policy=ContactPolicy(refusals=Refusals(covers="everything")))
    rules = ContactRules(everything, a_catalogue(an_action(HELP), an_action(BEST)))
    assert decided(refused("anything"), rules=rules).action_id == HELP
    assert decided(refused("anything"), rules=rules, arm=HOLDOUT).action_id == BEST


def test_an_answer_whose_consent_was_withdrawn_gives_way_to_one_that_has_it() -> None:
    assert decided(channel="mail", bestsellers="service").action_id == BEST
    assert decided(channel="mail").action_id == HELP


def test_the_same_facts_give_the_same_answer_again() -> None:
    facts = refused(HELP)
    assert decided(facts).record() == decided(replace(facts, memo={})).record()
