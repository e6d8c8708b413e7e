"""Only the contacts on which a cap may rest are read, weighed and recorded; what is decided is the same."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.contact_policy import Cap, FrequencyCap
from serving.contact import many
from serving.contact.facts import Contact, Facts
from serving.contact.many import Person
from serving.contact.reading import read_facts
from serving.contact.rules import ContactRules
from serving.contact.tables import SCHEMA
from serving.contact.windows import to_us
from tests.serving.judged_contacts import CAPS, CONTACTS, judged, rules_of, said
from tests.serving.tiny_offers import an_offer
from tests.serving.tiny_world import NOON, an_action
from tests.serving.told_contacts import shifted, told

HOUR = timedelta(hours=1)
_REST = "(decision_id TEXT, customer_key INTEGER, channel TEXT, slot INTEGER, outcome TEXT, joined_by TEXT)"


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    """A ledger's tables of contacts, and as much of the others as facts ask for."""
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(f"{SCHEMA}; CREATE TABLE outcomes {_REST}; CREATE TABLE decisions {_REST};")
        yield opened


def kept_of(connection: sqlite3.Connection, rules: ContactRules, *, n_chosen: int = 1) -> tuple[Contact, ...]:
    person = Person((1,), to_us(NOON), ("brand",), n_chosen)
    return many.of_many(connection, person, caps=rules.caps_of(("brand",)))


@pytest.mark.parametrize("n_contacts", [40, 2_000])
def test_a_record_does_not_grow_with_the_contacts_within_a_window(
    connection: sqlite3.Connection, n_contacts: int
) -> None:
    caps = {
        "yearly": FrequencyCap(at_most=3, rolling_days=366),
        "each": FrequencyCap(at_most=2, rolling_days=366, each="action"),
    }
    told(connection, [(1, said(NOON - timedelta(hours=n), f"a{n % 4}")) for n in range(n_contacts)])
    facts = read_facts(connection, (1,), at=NOON, rules=rules_of(frequency_caps=caps))
    assert len(facts.contacts) == 16  # the newest, two of each action and the three latest of all among them
    assert len(json.dumps(facts.as_dict())) < 2_000


@pytest.mark.parametrize(
    "cap",
    [
        FrequencyCap(at_most=20_000, rolling_days=366),
        FrequencyCap(at_most=3, rolling_days=366, channels=("mail",)),
        FrequencyCap(at_most=3, rolling_days=366, tags=("sale",)),
        FrequencyCap(at_most=3, rolling_days=366, actions=("a9", "a8")),
        FrequencyCap(at_most=700, rolling_days=366, each="action"),
    ],
)
def test_contacts_that_reach_no_cap_are_not_read_but_the_newest(
    connection: sqlite3.Connection, cap: FrequencyCap
) -> None:
    own = (Cap(at_most=700, rolling_days=30),)
    rules = rules_of(*(an_action(f"a{n}", caps=own) for n in range(8)), frequency_caps={"cap": cap})
    told(connection, [(1, said(NOON - n * timedelta(minutes=1), f"a{n % 8}")) for n in range(5_000)])
    facts = read_facts(connection, (1,), at=NOON, rules=rules)
    assert len(facts.contacts) == 16
    assert judged(rules, facts, offer=an_offer("a1", channel="chat", placement="weekly")) is None


def test_the_newest_are_kept_though_the_longest_cap_counts_clicks_that_nobody_made(
    connection: sqlite3.Connection,
) -> None:
    caps = {
        "clicks": FrequencyCap(at_most=5, rolling_days=60, counts="click"),
        "said": FrequencyCap(at_most=50, rolling_days=7),
    }
    told(connection, [(1, said(NOON - n * HOUR)) for n in range(1, 41)])
    assert len(kept_of(connection, rules_of(frequency_caps=caps))) == 16


def test_of_an_action_that_is_at_its_cap_all_that_decides_is_found(connection: sqlite3.Connection) -> None:
    rules = rules_of(an_action("tip", caps=(Cap(at_most=30, rolling_days=30),)), an_action("other"))
    past = [said(NOON - HOUR * n, "tip" if n % 10 == 9 else "other") for n in range(300)]
    told(connection, [(1, one) for one in past])
    found = judged(rules, Facts(contacts=kept_of(connection, rules)))
    whole = judged(rules, Facts(contacts=tuple(past)))
    assert found is not None
    assert whole is not None
    assert (found.detail, found.eligible_at, found.counter) == (whole.detail, whole.eligible_at, whole.counter)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    caps=st.lists(CAPS, min_size=1, max_size=3),
    some=st.lists(CONTACTS, min_size=1, max_size=6),
    seed=st.integers(0, 999),
    zone=st.sampled_from([None, "Asia/Kolkata", "America/New_York"]),
    own=st.booleans(),
)
def test_verdicts_and_instants_are_those_of_the_whole_past(
    connection: sqlite3.Connection,
    caps: list[FrequencyCap],
    some: list[Contact],
    seed: int,
    zone: str | None,
    own: bool,
) -> None:
    shifts = random.Random(seed)
    contacts = [shifted(one, shifts, n=n) for n in range(5) for one in some]
    contacts = list({(one.decision_id, one.action_id, one.channel): one for one in contacts}.values())
    mine = (Cap(at_most=2, rolling_days=30),) if own else ()
    rules = rules_of(
        an_action("tip", tags=("sale",), caps=mine), frequency_caps={f"c{i}": cap for i, cap in enumerate(caps)}
    )
    offer = an_offer("tip", channel="chat", placement="weekly", tags=("sale",))
    told(connection, [(1, one) for one in contacts])
    with patch.object(many, "FEW", 0):
        kept = kept_of(connection, rules, n_chosen=2)
    for more in (None, an_offer("tip", channel="mail", placement="weekly", tags=("sale",))):
        whole, part = Facts(contacts=tuple(contacts)), Facts(contacts=kept)
        if more is not None:
            whole, part = whole.after(more, NOON), part.after(more, NOON)
        for days in (0, 1, 9):
            at = NOON + timedelta(days=days)
            one, other = (judged(rules, facts, offer=offer, at=at, zone=zone) for facts in (whole, part))
            assert (one and (one.rule, one.eligible_at)) == (other and (other.rule, other.eligible_at))
