"""Contacts, reservations, budgets and coupon codes: what is taken, what is given back, and what is read of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.records import HOLDOUT
from experiments.records import SCHEMA as DECISIONS
from features.catalogue import Action, Incentive
from features.contact_policy import Budget, ContactPolicy, FrequencyCap, QuietHours, SharedBudget
from features.database import connect
from features.erased_rows import erase_rows
from features.identity import IdentityTable
from serving.contact import coupons, store
from serving.contact.budgets import ENOUGH
from serving.contact.facts import THIS_REQUEST, facts_of
from serving.contact.reading import Whose, read_facts, read_facts_together
from serving.contact.rules import ContactRules
from serving.contact.tables import SCHEMA
from serving.contact.windows import to_us
from serving.decide import settle, settle_all
from serving.exploration import SCHEMA as EXPOSURES
from serving.ledger import Ledger
from serving.ledger_rows import STATISTICS_SCHEMA
from tests.serving.tiny_offers import an_offer, prepared, reserve
from tests.serving.tiny_world import NOON, a_brand, a_catalogue, an_action

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GIFT = an_action("gift", incentive=Incentive(kind="free_item", value=1, cost=5, coupons="spring"))
TIP = an_action("tip", tags=("news",), budget=Budget(units=3))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    database = tmp_path / "rapport.db"
    Ledger(database).close()
    with closing(connect(database)) as opened:
        yield opened


def rules_of(*actions: Action, **policy: Any) -> ContactRules:
    policy = {"frequency_caps": {"weekly": FrequencyCap(at_most=2, rolling_days=7)}} | policy
    return ContactRules(a_brand(contact_policy=ContactPolicy(**policy)), a_catalogue(*(actions or (TIP, GIFT))))


def says(
    connection: sqlite3.Connection,
    decision_id: str,
    *action_ids: str,
    rules: ContactRules,
    at: datetime = NOON,
    is_deferred: bool = False,
    customer_key: int = 1,
    **changes: Any,
) -> dict[int, str]:
    """A decision that says these on the chat, where the brand speaks first, written as the ledger would."""
    offers = [an_offer(name, channel="chat", placement="weekly", value=9.0 - i) for i, name in enumerate(action_ids)]
    draws = (0.5,) * len(offers)
    asked = prepared(
        decision_id, *offers, initiated_by="brand", at=at, customer_key=customer_key, draws=draws, **changes
    )
    return reserve(connection, settle(asked), rules, at, is_deferred=is_deferred)


def used(connection: sqlite3.Connection, budget: str) -> tuple[int, int]:
    row = connection.execute("SELECT units, amount FROM budget_use WHERE budget = ?", (budget,)).fetchone()
    return (0, 0) if row is None else row


def test_what_is_said_is_exposed_at_once_and_counted(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", rules=rules)
    facts = read_facts(connection, (1,), at=NOON + HOUR, rules=rules)
    (contact,) = facts.contacts
    assert (contact.action_id, contact.channel, contact.exposed_at_us) == ("tip", "chat", to_us(NOON))
    assert (contact.tags, contact.initiated_by, contact.open_until_us) == (("news",), "brand", None)
    assert used(connection, "action:tip") == (1, 1_000_000)  # the chat's price
    assert read_facts(connection, (2,), at=NOON, rules=rules).contacts == ()


def test_a_held_out_customer_moves_no_counter(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", rules=rules, arm=HOLDOUT)
    assert connection.execute("SELECT count(*) FROM contacts").fetchone() == (0,)
    assert used(connection, "action:tip") == (0, 0)


def test_the_reading_is_what_after_foretold(connection: sqlite3.Connection) -> None:
    """Two ways to the same facts: what settling assumed of a choice, and what the ledger then holds of it."""
    rules = rules_of(TIP, budgets={"money": SharedBudget(amount=50)})
    before = read_facts(connection, (1,), at=NOON, rules=rules)
    foretold = before.after(an_offer("tip", channel="chat", placement="weekly", tags=("news",)), NOON)
    says(connection, "d-1", "tip", rules=rules)
    held = read_facts(connection, (1,), at=NOON, rules=rules)
    assert held.budgets == foretold.budgets
    assert [one._replace(decision_id="") for one in held.contacts] == [
        one._replace(decision_id="") for one in foretold.contacts
    ]


def test_a_deferred_one_is_a_reservation_until_it_is_exposed(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    says(connection, "d-1", "tip", rules=rules, is_deferred=True)
    (contact,) = read_facts(connection, (1,), at=NOON, rules=rules).contacts
    assert (contact.exposed_at_us, contact.open_until_us) == (None, to_us(NOON + 6 * HOUR))
    assert store.expose(connection, "d-1", at_us=to_us(NOON + HOUR)) == [(0, False)]
    assert store.expose(connection, "d-1", at_us=to_us(NOON + 2 * HOUR)) == [(0, False)]  # once exposed, it stays so
    (contact,) = read_facts(connection, (1,), at=NOON + HOUR, rules=rules).contacts
    assert (contact.exposed_at_us, contact.open_until_us) == (to_us(NOON + HOUR), None)
    assert store.release_due(connection, NOON + DAY) == 0
    assert connection.execute("SELECT count(*) FROM budget_holds").fetchone() == (0,)


def test_what_waits_for_quiet_hours_to_end_is_reserved_from_then_on(connection: sqlite3.Connection) -> None:
    weekend = QuietHours(start="00:00", until="00:00", days=("saturday", "sunday"), then="wait")
    rules = rules_of(quiet_hours=(weekend,), reservation_hours=6)
    send_at = datetime(2026, 3, 2, tzinfo=UTC)  # NOON is a Sunday's
    offers = [an_offer(name, channel="chat", placement="weekly", value=9.0) for name in ("tip", "gift")]
    asked = prepared("d-1", *offers, initiated_by="brand", draws=(0.5,), is_deferred=True)
    before = read_facts(connection, (1,), at=NOON, rules=rules)
    decision, second = settle_all([asked, asked], before, rules)
    assert decision.slots[0].send_at == send_at
    reserve(connection, decision, rules, NOON, is_deferred=True)
    assert store.release_due(connection, send_at + 6 * HOUR - timedelta(microseconds=1)) == 0
    (held,) = read_facts(connection, (1,), at=NOON, rules=rules).contacts
    assert held.open_until_us == to_us(send_at + 6 * HOUR)
    assert facts_of(second.counters).contacts == (held._replace(decision_id=THIS_REQUEST + "weekly", tags=()),)
    assert store.expose(connection, "d-1", at_us=to_us(send_at + HOUR)) == [(0, False)]


def test_what_nobody_saw_in_time_gives_everything_back(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    coupons.add_codes(connection, "spring", ["A", "B"])
    codes = says(connection, "d-1", "gift", "tip", rules=rules, is_deferred=True)
    assert codes == {0: "A"}
    assert coupons.n_free(connection, "spring") == 1
    assert store.release_due(connection, NOON + 6 * HOUR - timedelta(microseconds=1)) == 0
    assert store.release_due(connection, NOON + 6 * HOUR) == 2
    assert coupons.n_free(connection, "spring") == 2
    assert used(connection, "action:tip") == (0, 0)
    facts = read_facts(connection, (1,), at=NOON + 7 * HOUR, rules=rules)
    assert [(one.exposed_at_us, one.open_until_us) for one in facts.contacts] == [(None, None)] * 2
    assert says(connection, "d-2", "gift", rules=rules, at=NOON + 7 * HOUR) == {0: "B"}  # A went to the queue's end


def test_an_exposure_after_the_release_is_kept_flagged_and_paid(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    coupons.add_codes(connection, "spring", ["A"])
    says(connection, "d-1", "gift", "tip", rules=rules, is_deferred=True)
    store.release_due(connection, NOON + DAY)
    assert store.expose(connection, "d-1", at_us=to_us(NOON + DAY)) == [(0, True), (1, True)]
    assert used(connection, "action:tip") == (1, 1_000_000)
    assert coupons.n_free(connection, "spring") == 0
    exposed = [one.exposed_at_us for one in read_facts(connection, (1,), at=NOON + DAY, rules=rules).contacts]
    assert exposed == [to_us(NOON + DAY)] * 2


def test_an_exposure_after_its_time_is_late_though_nobody_had_released_it(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    says(connection, "d-1", "tip", rules=rules, is_deferred=True)
    assert store.expose(connection, "d-1", at_us=to_us(NOON + DAY)) == [(0, True)]
    assert used(connection, "action:tip") == (1, 1_000_000)


def test_a_code_that_two_customers_have_seen_is_not_freed_by_one_of_them(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    coupons.add_codes(connection, "spring", ["A"])
    says(connection, "d-1", "gift", rules=rules, is_deferred=True)
    store.release_due(connection, NOON + DAY)
    assert says(connection, "d-2", "gift", rules=rules, at=NOON + DAY, customer_key=2) == {0: "A"}
    assert store.expose(connection, "d-1", at_us=to_us(NOON + DAY)) == [(0, True)]
    store.release(connection, "d-1", at_us=to_us(NOON + DAY))
    assert coupons.n_free(connection, "spring") == 0
    assert [row[0] for row in store.decision_of_code(connection, "A")] == ["d-2", "d-1"]


def test_a_message_that_failed_was_never_said(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", rules=rules)
    assert store.release(connection, "d-1", at_us=to_us(NOON + HOUR)) == 1
    assert store.release(connection, "d-1", at_us=to_us(NOON + HOUR)) == 0
    assert used(connection, "action:tip") == (0, 0)
    (contact,) = read_facts(connection, (1,), at=NOON + HOUR, rules=rules).contacts
    assert contact.exposed_at_us is None


def test_one_slot_of_a_list_is_exposed_released_and_refused_by_itself(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", "gift", rules=rules, is_deferred=True)
    assert store.expose(connection, "d-1", at_us=to_us(NOON), slot=1) == [(1, False)]
    assert store.release(connection, "d-1", at_us=to_us(NOON), slot=0) == 1
    assert store.refuse(connection, "d-1", reason="never", at_us=to_us(NOON), slot=1) == 1
    facts = read_facts(connection, (1,), at=NOON, rules=rules)
    assert [(one.action_id, one.exposed_at_us) for one in facts.contacts] == [("gift", to_us(NOON)), ("tip", None)]
    assert [refusal.action_id for refusal in facts.refusals] == ["gift"]


def test_never_outlives_a_later_not_now_and_the_newest_not_now_counts(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", "gift", rules=rules)
    store.refuse(connection, "d-1", reason="not_now", at_us=to_us(NOON), slot=0)
    store.refuse(connection, "d-1", reason="not_now", at_us=to_us(NOON + HOUR), slot=0)
    store.refuse(connection, "d-1", reason="not_now", at_us=to_us(NOON + HOUR - HOUR), slot=0)
    store.refuse(connection, "d-1", reason="never", at_us=to_us(NOON), slot=1)
    store.refuse(connection, "d-1", reason="not_now", at_us=to_us(NOON + HOUR), slot=1)
    facts = read_facts(connection, (1,), at=NOON, rules=rules)
    assert [tuple(one) for one in facts.refusals] == [
        ("gift", "never", to_us(NOON)),
        ("tip", "not_now", to_us(NOON + HOUR)),
    ]


def test_a_carriers_later_limit_counts_and_a_past_one_is_not_read(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    for hours, code in ((3, "late"), (1, "early")):
        store.limit_carrier(connection, customer_key=1, channel="chat", until_us=to_us(NOON + hours * HOUR), code=code)
    (limit,) = read_facts(connection, (1,), at=NOON, rules=rules).carrier_limits
    assert (limit.until_us, limit.code) == (to_us(NOON + 3 * HOUR), "late")
    assert read_facts(connection, (1,), at=NOON + 3 * HOUR, rules=rules).carrier_limits == ()


def test_clicks_and_conversions_count_from_the_first_however_old_the_decision(connection: sqlite3.Connection) -> None:
    rules = rules_of(frequency_caps={"clicked": FrequencyCap(at_most=1, rolling_days=2, counts="click")})
    says(connection, "d-1", "tip", rules=rules)
    later = NOON + 40 * DAY
    assert read_facts(connection, (1,), at=later, rules=rules).contacts == ()
    store.note_click(connection, "d-1", at_us=to_us(later))
    store.note_click(connection, "d-1", at_us=to_us(later + HOUR))
    store.note_conversion(connection, "d-1", at_us=to_us(later + HOUR))
    (contact,) = read_facts(connection, (1,), at=later, rules=rules).contacts
    assert (contact.clicked_at_us, contact.converted_at_us) == (to_us(later), to_us(later + HOUR))


def test_a_person_is_all_their_keys(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", rules=rules, customer_key=1)
    says(connection, "d-2", "tip", rules=rules, customer_key=7)
    store.refuse(connection, "d-2", reason="never", at_us=to_us(NOON))
    facts = read_facts(connection, (1, 7), at=NOON, rules=rules)
    assert [one.decision_id for one in facts.contacts] == ["d-1", "d-2"]
    assert len(facts.refusals) == 1


def test_many_people_are_read_as_each_of_them_is(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    people = [(n, 100 + n) for n in range(1, 8)]
    for one, other in people:
        says(connection, f"d-{one}", "tip", rules=rules, customer_key=one)
        says(connection, f"d-{other}", "tip", rules=rules, customer_key=other)
        store.refuse(connection, f"d-{one}", reason="never", at_us=to_us(NOON) + one)
    together = read_facts_together(connection, [Whose(keys, NOON) for keys in people], rules=rules)
    assert together == [read_facts(connection, keys, at=NOON, rules=rules) for keys in people]
    assert [len(facts.contacts) for facts in together] == [2] * 7


def test_those_of_whom_nothing_is_known_share_their_facts_at_one_instant(connection: sqlite3.Connection) -> None:
    rules = rules_of()
    says(connection, "d-1", "tip", rules=rules, customer_key=2)
    people = [Whose((1,), NOON), Whose((2,), NOON), Whose((3,), NOON), Whose((4,), NOON + HOUR)]
    one, told, another, later = read_facts_together(connection, people, rules=rules)
    assert one is another
    assert later == one
    assert len(told.contacts) == 1


def test_who_speaks_first_elsewhere_is_read_as_they_are_alone(connection: sqlite3.Connection) -> None:
    rules = rules_of(
        frequency_caps={
            "theirs": FrequencyCap(at_most=9, rolling_days=30, governs="customer"),
            "ours": FrequencyCap(at_most=9, rolling_days=1, governs="brand"),
        }
    )
    for key in (1, 2, 3):
        says(connection, f"d-{key}", "tip", rules=rules, customer_key=key)
    people = [
        Whose((1,), NOON + HOUR, ("brand",)),
        Whose((2,), NOON + 30 * HOUR, ("customer",)),
        Whose((3,), NOON + 30 * HOUR, ("brand", "customer")),
    ]
    together = read_facts_together(connection, people, rules=rules)
    assert together == [
        read_facts(connection, one.keys, at=one.at, rules=rules, initiated_by=one.initiated_by) for one in people
    ]


def test_facts_far_from_a_budgets_end_are_equal_and_near_it_they_are_not(connection: sqlite3.Connection) -> None:
    rules = rules_of(TIP, budgets={"most": SharedBudget(units=ENOUGH + 1), "money": SharedBudget(amount=9_000_000)})
    facts = read_facts(connection, (2,), at=NOON, rules=rules)
    says(connection, "d-1", "tip", rules=rules)
    again = read_facts(connection, (2,), at=NOON, rules=rules)
    assert {name for name in facts.budgets if facts.budgets[name] != again.budgets[name]} == {"action:tip"}
    says(connection, "d-2", "tip", rules=rules)
    assert read_facts(connection, (2,), at=NOON, rules=rules).budgets["most"].units == ENOUGH - 1


def test_a_budget_that_has_enough_left_is_no_fact_and_each_of_the_others_is(connection: sqlite3.Connection) -> None:
    shared = {"vast": SharedBudget(units=10**9), "wide": SharedBudget(units=ENOUGH + 2), "few": SharedBudget(units=3)}
    rules = rules_of(budgets=shared)
    assert read_facts(connection, (2,), at=NOON, rules=rules).budgets.keys() & shared.keys() == {"few"}
    for n in range(3):
        says(connection, f"d-{n}", "tip", rules=rules)
    left = read_facts(connection, (2,), at=NOON, rules=rules).budgets
    assert {name: one.units for name, one in left.items() if name in shared} == {"few": 0, "wide": ENOUGH - 1}


def test_a_new_period_has_its_budget_whole(connection: sqlite3.Connection) -> None:
    rules = rules_of(TIP, budgets={"daily": SharedBudget(units=1, every="day")})
    says(connection, "d-1", "tip", rules=rules)
    assert read_facts(connection, (1,), at=NOON, rules=rules).budgets["daily"].units == 0
    assert read_facts(connection, (1,), at=NOON + DAY, rules=rules).budgets["daily"].units == 1


def test_a_code_whose_reservation_is_over_is_given_out_before_anybody_has_released_it(
    connection: sqlite3.Connection,
) -> None:
    rules = rules_of(reservation_hours=6)
    coupons.add_codes(connection, "spring", ["A"])
    says(connection, "d-1", "gift", rules=rules, is_deferred=True)
    assert read_facts(connection, (2,), at=NOON, rules=rules).codes_left == {"spring": 0}
    assert says(connection, "d-2", "gift", rules=rules, at=NOON + 6 * HOUR, customer_key=2) == {0: "A"}
    assert store.decision_of_code(connection, "A")[0] == ("d-2", 0, 2)


def test_what_is_no_longer_to_be_counted_is_not_read(connection: sqlite3.Connection) -> None:
    """The cost of a decision does not grow with a customer's past: the index leads to the window, not through it."""
    rules = rules_of()
    for day in range(30):
        says(connection, f"d-{day}", "tip", rules=rules, at=NOON + day * DAY)
    assert len(read_facts(connection, (1,), at=NOON + 30 * DAY, rules=rules).contacts) == 6
    query = (
        "EXPLAIN QUERY PLAN SELECT * FROM contacts WHERE customer_key IN (1, 7) AND initiated_by = ? AND latest_at > ?"
    )
    plan = " ".join(str(row[-1]) for row in connection.execute(query, ("brand", 0)))
    assert "contacts_of_customer (customer_key=? AND initiated_by=? AND latest_at>?)" in plan
    none = ContactRules(a_brand(), a_catalogue(an_action("tip")))
    assert read_facts(connection, (1,), at=NOON, rules=none).contacts == ()


def everything(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("contacts", "refusals", "carrier_limits", "budget_holds")
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def test_an_erasure_forgets_the_contacts_and_gives_back_what_was_only_reserved(connection: sqlite3.Connection) -> None:
    rules = rules_of(reservation_hours=6)
    coupons.add_codes(connection, "spring", ["A", "B", "C"])
    says(connection, "bob", "gift", "tip", rules=rules, customer_key=2, is_deferred=True)
    others = everything(connection)
    assert [len(rows) for rows in others.values()] == [2, 0, 0, 2]
    says(connection, "ann", "gift", "tip", rules=rules, customer_key=1, is_deferred=True)
    store.refuse(connection, "ann", reason="never", at_us=to_us(NOON))
    store.limit_carrier(connection, customer_key=1, channel="chat", until_us=to_us(NOON + DAY), code="131049")
    connection.commit()
    assert [len(rows) for rows in everything(connection).values()] == [4, 2, 1, 4]
    IdentityTable(connection)
    removed = erase_rows(connection, [1], ids=["ann"])
    assert {name: removed[name] for name in others} == {
        "contacts": 2,
        "refusals": 2,
        "carrier_limits": 1,
        "budget_holds": 2,
    }
    assert everything(connection) == others
    assert used(connection, "action:tip") == (1, 1_000_000)
    assert coupons.n_free(connection, "spring") == 2
    store.release_due(connection, NOON + DAY)
    assert (used(connection, "action:tip"), coupons.n_free(connection, "spring")) == ((0, 0), 3)
    given = [says(connection, f"c-{n}", "gift", rules=rules, at=NOON + DAY, customer_key=3)[0] for n in range(3)]
    assert given == ["C", "B", "A"]  # each went to the queue's end when it was freed


def test_what_an_erased_customer_has_seen_stays_taken(connection: sqlite3.Connection) -> None:
    rules = rules_of(TIP, GIFT, budgets={"daily": SharedBudget(units=9, every="day")})
    coupons.add_codes(connection, "spring", ["A", "B"])
    for decision_id, at in (("seen", NOON), ("reserved", NOON + DAY)):
        says(connection, decision_id, "gift", "tip", rules=rules, at=at, is_deferred=True)
    says(connection, "released", "tip", rules=rules, is_deferred=True)
    store.expose(connection, "seen", at_us=to_us(NOON + HOUR))
    store.release(connection, "released", at_us=to_us(NOON + HOUR))
    connection.commit()
    IdentityTable(connection)
    erase_rows(connection, [1], ids=["ann"])
    assert used(connection, "action:tip") == (1, 1_000_000)
    days = connection.execute("SELECT units FROM budget_use WHERE budget = 'daily' ORDER BY period").fetchall()
    assert days == [(2,), (0,)]
    assert coupons.n_free(connection, "spring") == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "defer", "expose", "release", "due"]), st.integers(0, 5), st.integers(0, 48)),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_counters_are_the_sum_of_what_is_not_released(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whatever order: use, codes and holds are those of the contacts that stand."""
    rules = rules_of(TIP, GIFT, reservation_hours=6)
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.executescript(SCHEMA + EXPOSURES + DECISIONS + STATISTICS_SCHEMA)
        coupons.add_codes(memory, "spring", [f"C{n}" for n in range(30)])
        memory.isolation_level = None
        for number, (step, which, hours) in enumerate(steps):
            at = NOON + hours * HOUR
            if step in ("say", "defer"):
                says(memory, f"d-{number}", "gift", "tip", rules=rules, at=at, is_deferred=step == "defer")
            elif step == "expose":
                store.expose(memory, f"d-{which}", at_us=to_us(at))
            elif step == "release":
                store.release(memory, f"d-{which}", at_us=to_us(at))
            else:
                store.release_due(memory, at)
        (stands,) = memory.execute("SELECT count(*) FROM contacts WHERE released_why IS NULL").fetchone()
        (is_open,) = memory.execute("SELECT count(*) FROM contacts WHERE open_until IS NOT NULL").fetchone()
        (taken,) = memory.execute("SELECT count(*) FROM coupon_codes WHERE is_taken = 1").fetchone()
        (held,) = memory.execute("SELECT count(*) FROM budget_holds").fetchone()
        assert used(memory, "action:tip") == (stands / 2, stands / 2 * 1_000_000)
        assert taken == stands / 2 == 30 - coupons.n_free(memory, "spring")
        assert held == is_open
