"""Reach counts whom the contact policy keeps from a channel as a whole, by the rules that decisions keep to."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contact_policy import ContactPolicy, FrequencyCap, QuietHours
from features.database import connect
from features.snapshots import build_snapshots
from features.sync import sync
from serving.contact import many, resting, store
from serving.contact.facts import Contact, Facts
from serving.contact.resting import Rest, Resting
from serving.contact.rules import ContactRules
from serving.contact.tables import SCHEMA
from serving.contact.windows import to_us
from serving.engine import Engine
from serving.ledger import Ledger
from serving.reaching import reach_view
from tests.serving.erasing_world import call
from tests.serving.judged_contacts import CAPS, CONTACTS
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import NOON, TIP, a_brand, a_catalogue, an_action
from tests.serving.told_contacts import shifted, told

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OFFER = an_action("offer", expected_rate=0.5, tags=("sale",))
POLICY = ContactPolicy(
    quiet_hours=(QuietHours(start="21:00", until="08:00", channels=("mail",)),),
    frequency_caps={
        "fortnight": FrequencyCap(at_most=1, rolling_days=14),
        "sales": FrequencyCap(at_most=1, rolling_days=2, tags=("sale",)),  # of some actions: no matter of the channel
    },
)


def test_only_what_holds_for_the_whole_channel_rests() -> None:
    rules = ContactRules(a_brand(contact_policy=POLICY), a_catalogue(OFFER))
    sale = Contact("d", "offer", "mail", ("sale",), "brand", to_us(NOON - 13 * DAY), to_us(NOON - 13 * DAY))
    rested = rules.rests("mail", Facts(contacts=(sale,)), at=NOON)
    assert rested is not None
    assert (rested.rule, rested.until_us) == ("frequency_cap", to_us(NOON + DAY))
    assert rules.rests("mail", Facts(contacts=(sale._replace(initiated_by="customer"),)), at=NOON) is None
    late = rules.rests("mail", Facts(contacts=(sale,)), at=NOON + 13 * HOUR)  # quiet until 8, capped until noon
    assert late is not None
    assert (late.rule, late.until_us) == ("quiet_hours", to_us(NOON + DAY))


def test_people_of_one_zone_rest_together_and_a_person_by_all_their_keys(tmp_path: Path) -> None:
    Ledger(tmp_path / "rapport.db").close()
    rules = ContactRules(a_brand(contact_policy=POLICY), a_catalogue(OFFER))
    with closing(connect(tmp_path / "rapport.db")) as connection:
        store.limit_carrier(connection, customer_key=7, channel="chat", until_us=to_us(NOON + HOUR), code="x")
        resting = Resting(connection, rules, at=NOON, owner_of={7: 1})
    assert resting.keys == {1}
    assert resting.of(1, "chat", None) == Rest("carrier_limit", to_us(NOON + HOUR))
    assert resting.of(2, "chat", None) is None
    assert resting.of(2, "mail", "Asia/Tokyo") == Rest("quiet_hours", to_us(NOON + 11 * HOUR))
    assert resting.of_zone("mail", "Europe/Berlin") is None


@pytest.fixture(scope="module")
def contacts() -> Iterator[sqlite3.Connection]:
    """A ledger's tables of contacts."""
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(SCHEMA)
        yield opened


@settings(max_examples=60)
@given(
    caps=st.lists(CAPS, min_size=1, max_size=3),
    some=st.lists(CONTACTS, min_size=1, max_size=8),
    seed=st.integers(0, 999),
    few=st.sampled_from([0, 2, 16]),
)
def test_who_rests_and_until_when_is_what_the_rules_say_of_everything_that_was_told(
    contacts: sqlite3.Connection, caps: list[FrequencyCap], some: list[Contact], seed: int, few: int
) -> None:
    shifts = random.Random(seed)
    said = [
        (
            shifts.choice((1, 2, 7)),  # the person of key 7 was joined into 1
            shifted(one, shifts, n=n),
        )
        for n in range(4)
        for one in some
    ]
    told(contacts, said)
    policy = ContactPolicy(frequency_caps={f"c{i}": cap for i, cap in enumerate(caps)})
    rules = ContactRules(a_brand(contact_policy=policy), a_catalogue(OFFER))
    with patch.object(many, "FEW", few), patch.object(resting, "FEW", few):
        found = Resting(contacts, rules, at=NOON, owner_of={7: 1})
    for person, keys in ((1, (1, 7)), (2, (2,))):
        everything = Facts(contacts=tuple(one for key, one in said if key in keys))
        for channel in ("chat", "mail"):
            block = rules.rests(channel, everything, at=NOON)
            assert found.of(person, channel, None) == (block and Rest(block.rule, block.until_us))


def test_what_is_read_of_somebody_does_not_grow_with_what_they_were_told(contacts: sqlite3.Connection) -> None:
    caps = {"week": FrequencyCap(at_most=3, rolling_days=7), "year": FrequencyCap(at_most=500, rolling_days=365)}
    rules = ContactRules(a_brand(contact_policy=ContactPolicy(frequency_caps=caps)), a_catalogue(OFFER))
    steps = []
    for n_told in (40, 400):
        at = [to_us(NOON - timedelta(minutes=10 * n)) for n in range(n_told)]
        told(contacts, [(1, Contact(f"d{n}", "offer", "mail", (), "brand", at[n], at[n])) for n in range(n_told)])
        hundreds: list[int] = []
        contacts.set_progress_handler(lambda of=hundreds: of.append(1), 100)  # type: ignore[misc]
        rested = Resting(contacts, rules, at=NOON, owner_of={}).of(1, "mail", None)
        contacts.set_progress_handler(None, 0)
        assert rested == Rest("frequency_cap", at[2] + 7 * DAY // timedelta(microseconds=1))
        steps.append(len(hundreds))
    by_index = 400 * 9 // 100  # to count up to the 500 that reach a cap takes a few steps each, and no row
    assert steps[1] < steps[0] + by_index


def test_where_no_cap_is_on_writing_no_contact_is_read(contacts: sqlite3.Connection) -> None:
    told(contacts, [(1, Contact("d", "offer", "mail", ("sale",), "brand", to_us(NOON), to_us(NOON)))])
    sales = ContactPolicy(frequency_caps={"sales": FrequencyCap(at_most=1, rolling_days=2, tags=("sale",))})
    rules = ContactRules(a_brand(contact_policy=sales), a_catalogue(OFFER))
    assert Resting(contacts, rules, at=NOON, owner_of={}).keys == frozenset()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    workspace = a_shop(tmp_path / "shop", TIP, OFFER, contact_policy=POLICY)
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as opened:
        yield opened


def mail(engine: Engine) -> dict[str, Any]:
    (found,) = [one for one in reach_view(engine)["channels"] if one["channel"] == "mail"]
    return {name: found[name] for name in ("reachable_now", "reachable_this_week", "not_reachable", "reasons")}


def test_who_was_written_to_or_sleeps_is_not_reachable_now(engine: Engine) -> None:
    for customer, zone in (("ann", None), ("bob", None), ("cid", "Asia/Tokyo")):
        before = (NOON - 3 * DAY).isoformat()
        given = {"userId": customer, "event": "Consent Given", "properties": {"channel": "mail"}, "timestamp": before}
        assert call(engine, "POST", "/v1/track", given).status_code == 202
        if zone is not None:
            moved = {"userId": customer, "traits": {"time_zone": zone}, "timestamp": before}
            assert call(engine, "POST", "/v1/identify", moved).status_code == 202
    sync(engine.workspace, now=NOON + HOUR)
    build_snapshots(engine.workspace, [NOON + HOUR])
    assert mail(engine) == {"reachable_now": 2, "reachable_this_week": 3, "not_reachable": 0, "reasons": {}}
    told = call(engine, "POST", "/v1/decisions", {"customer_id": "ann", "placement": "weekly", "channel": "mail"})
    assert told.json()["action"]["id"] == "offer"
    after = {"reachable_now": 1, "reachable_this_week": 2, "not_reachable": 1, "reasons": {"frequency_cap": 1}}
    assert mail(engine) == after
