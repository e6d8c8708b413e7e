"""Only the contacts on which a cap may rest are weighed and recorded; what is decided is the same."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contact_policy import FrequencyCap
from serving.contact import needed
from serving.contact.facts import Contact, Facts
from serving.contact.windows import to_us
from tests.serving.test_contact_rules import CAPS, CONTACTS, judged, rules_of, said
from tests.serving.tiny_offers import an_offer
from tests.serving.tiny_world import NOON, an_action


@pytest.mark.parametrize("n_contacts", [40, 2_000])
def test_a_record_does_not_grow_with_the_contacts_within_a_window(n_contacts: int) -> None:
    caps = {
        "yearly": FrequencyCap(at_most=3, rolling_days=366),
        "each": FrequencyCap(at_most=2, rolling_days=366, each="action"),
    }
    rules = rules_of(frequency_caps=caps)
    contacts = [said(NOON - timedelta(hours=n), f"a{n % 4}") for n in range(n_contacts)]
    kept = rules.needed(contacts, ("brand",))
    assert len(kept) == 8  # two of each action, the three latest of all among them
    assert len(json.dumps(Facts(contacts=kept).as_dict())) < 1_200


@settings(max_examples=150, deadline=None)
@given(
    caps=st.lists(CAPS, min_size=1, max_size=3),
    some=st.lists(CONTACTS, min_size=1, max_size=6),
    seed=st.integers(0, 999),
    zone=st.sampled_from([None, "Asia/Kolkata", "America/New_York"]),
)
def test_verdicts_and_instants_are_those_of_the_whole_past(
    caps: list[FrequencyCap], some: list[Contact], seed: int, zone: str | None
) -> None:
    shifts = random.Random(seed)
    contacts = [
        one._replace(
            decision_id=f"{one.decision_id}{n % 5}",
            exposed_at_us=one.exposed_at_us and to_us(NOON - timedelta(minutes=shifts.randint(-900, 50_000))),
            decided_at_us=to_us(NOON - timedelta(minutes=shifts.randint(0, 50_000))),
        )
        for n in range(5)
        for one in some
    ]
    rules = rules_of(an_action("tip", tags=("sale",)), frequency_caps={f"c{i}": cap for i, cap in enumerate(caps)})
    offer = an_offer("tip", channel="chat", placement="weekly", tags=("sale",))
    with patch.object(needed, "FEW", 0):
        kept = rules.needed(contacts, ("brand",))
    for more in (None, an_offer("tip", channel="mail", placement="weekly", tags=("sale",))):
        whole, part = Facts(contacts=tuple(contacts)), Facts(contacts=kept)
        if more is not None:
            whole, part = whole.after(more, NOON), part.after(more, NOON)
        for days in (0, 1, 9):
            at = NOON + timedelta(days=days)
            one, other = (judged(rules, facts, offer=offer, at=at, zone=zone) for facts in (whole, part))
            assert (one and (one.rule, one.eligible_at)) == (other and (other.rule, other.eligible_at))
