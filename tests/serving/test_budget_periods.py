"""A budget that begins anew with each period: what the one before gives back is none of the next one's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contact_policy import SharedBudget
from features.database import connect
from serving.contact import store
from serving.contact.reading import read_facts
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.eligibility import Suppressed
from serving.ledger import Ledger
from tests.serving.test_contact_store import rules_of, says
from tests.serving.tiny_offers import an_offer
from tests.serving.tiny_world import NOON, an_action

HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
HI = an_action("hi")


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    database = tmp_path_factory.mktemp("budgets") / "rapport.db"
    Ledger(database).close()
    with closing(connect(database)) as opened:
        yield opened


def a_copy(ledger: sqlite3.Connection) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    ledger.backup(memory)
    return memory


def daily(units: int) -> ContactRules:
    return rules_of(HI, frequency_caps={}, budgets={"daily": SharedBudget(units=units, every="day")})


def verdict(connection: sqlite3.Connection, rules: ContactRules, at: datetime) -> Suppressed | None:
    facts = read_facts(connection, (1,), at=at, rules=rules)
    return rules.judge(an_offer("hi", channel="chat", placement="weekly"), facts, initiated_by="brand", at=at)


def test_yesterdays_reservation_gives_nothing_back_to_today(empty_ledger: sqlite3.Connection) -> None:
    rules, tomorrow = daily(1), NOON + 22 * HOUR
    with closing(a_copy(empty_ledger)) as connection:
        says(connection, "yesterday", "hi", rules=rules, is_deferred=True)
        says(connection, "today", "hi", rules=rules, at=tomorrow)
        refused = verdict(connection, rules, tomorrow + HOUR)
        assert refused is not None
        assert refused.eligible_at == datetime(2026, 3, 3, tzinfo=UTC)
        assert verdict(connection, rules, NOON + 25 * HOUR) is not None


@settings(max_examples=60, deadline=None)
@given(
    units=st.integers(1, 2),
    steps=st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from(["say", "defer", "defer", "expose"]), st.integers(0, 9)),
        max_size=14,
    ),
)
def test_no_day_is_overspent_and_the_instant_told_is_the_one_from_which_it_is_given(
    empty_ledger: sqlite3.Connection, units: int, steps: list[tuple[int, str, int]]
) -> None:
    rules, at, given_on = daily(units), NOON, dict[str, str]()
    with closing(a_copy(empty_ledger)) as connection:
        for number, (hours, step, which) in enumerate(steps):
            at += hours * HOUR
            if step == "expose":
                open_ones = "SELECT 1 FROM contacts WHERE decision_id = ? AND open_until > ?"
                if connection.execute(open_ones, (f"d-{which}", to_us(at))).fetchone():
                    store.expose(connection, f"d-{which}", at_us=to_us(at))
                continue
            if (kept_away := verdict(connection, rules, at)) is None:
                says(connection, f"d-{number}", "hi", rules=rules, at=at, is_deferred=step == "defer")
                given_on[f"d-{number}"] = f"{at:%F}"
                stands = connection.execute(
                    "SELECT decision_id FROM contacts WHERE exposed_at IS NOT NULL OR open_until > ?", (to_us(at),)
                )
                assert sum(given_on[row[0]] == f"{at:%F}" for row in stands) <= units
            else:
                until = kept_away.eligible_at
                if until is None:
                    pytest.fail("a day ends")
                assert verdict(connection, rules, until) is None
                assert verdict(connection, rules, until - MICROSECOND) is not None
