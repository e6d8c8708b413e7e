"""One contract over every policy: what is logged is the probability with which it happens, for both slots jointly.

Two slots are drawn on an even lattice of pairs of draws. Between the reading of the facts and the transaction that
reserves, somebody else spends what was left of a budget, so the decision is settled again with the same draws.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from msgspec.structs import replace

from experiments.records import SCHEMA as LEDGER
from features.brand import Exploration, Policy
from features.catalogue import NOTHING
from features.contact_policy import ContactPolicy, SharedBudget
from features.merges import SCHEMA as MERGES
from serving.contact.facts import Facts
from serving.contact.reading import read_facts
from serving.contact.rules import ContactRules
from serving.contact.tables import SCHEMA as CONTACTS
from serving.decide import Decision, settle
from serving.exploration import SCHEMA as EXPOSURES
from serving.offers import Prepared
from tests.serving.tiny_offers import an_offer, prepared, reserve
from tests.serving.tiny_world import NOON, a_brand, a_catalogue, an_action

N_DRAWS, TURN = 377, 233  # Fibonacci's lattice: each draw is on an even grid of its own, the pairs fill the square
POLICIES = [
    Policy(name="greedy"),
    Policy(name="epsilon_greedy", epsilon=0.2),
    Policy(name="epsilon_greedy", epsilon=1.0),
    Policy(name="squarecb", gamma=20.0),
    Policy(name="uniform"),
]
VALUES = {"gift": 9.0, "tip": 9.0, "coupon": 6.0, "letter": -4.0}
DEAR = ("gift", "coupon")  # they share the budget
RULES = ContactRules(
    a_brand(contact_policy=ContactPolicy(budgets={"dear": SharedBudget(units=1, actions=DEAR)})),
    a_catalogue(*(an_action(action_id) for action_id in VALUES)),
)
OFFERS = tuple(an_offer(action_id, value=value) for action_id, value in VALUES.items())
Speaker = Literal["customer", "brand"]


def a_list(
    policy: Policy, draws: tuple[float, float], *, who: Speaker, key: int = 1, explored: bool = False
) -> Prepared:
    return prepared(
        f"d-{key}",
        *OFFERS,
        initiated_by=who,
        customer_key=key,
        policy=policy,
        draws=draws,
        nothing=1.0,
        reward_scale=10.0,
        new={"letter": 3, "coupon": 0} if explored else {},
        exploration=Exploration(exposures=500, share=0.25 if explored else 0.1),
    )


def lattice() -> Iterator[tuple[float, float]]:
    for i in range(N_DRAWS):
        yield (i + 0.5) / N_DRAWS, (i * TURN % N_DRAWS + 0.5) / N_DRAWS


@contextmanager
def a_ledger() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(LEDGER + MERGES + CONTACTS + EXPOSURES)
    yield connection
    connection.close()


def facts_now(connection: sqlite3.Connection, key: int = 1) -> Facts:
    return read_facts(connection, (key,), at=NOON, rules=RULES)


def spent_and_unspent(policy: Policy, *, who: Speaker) -> tuple[Facts, Facts]:
    """The facts before and after another customer has taken the one unit that the budget had."""
    with a_ledger() as connection:
        before = facts_now(connection)
        takes_gift = settle(a_list(Policy(name="greedy"), (0.1, 0.1), who=who, key=2), before, RULES)
        assert takes_gift.action_id == "gift"
        reserve(connection, takes_gift, RULES, NOON)
        return before, facts_now(connection)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.name}-{policy.epsilon}")
@pytest.mark.parametrize("who", ["customer", "brand"])
@pytest.mark.parametrize("explored", [False, True], ids=["", "explored"])
def test_two_slots_are_taken_together_as_often_as_they_report(policy: Policy, who: Speaker, explored: bool) -> None:
    before, after = spent_and_unspent(policy, who=who)
    assert before != after
    for facts in (before, after):
        asked = a_list(policy, (0.0, 0.0), who=who, explored=explored)
        decisions = [settle(replace(asked, draws=draws), facts, RULES) for draws in lattice()]
        _assert_shares(decisions)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.name}-{policy.epsilon}")
def test_what_was_spent_meanwhile_is_in_no_slot_and_what_is_left_keeps_its_draws(policy: Policy) -> None:
    before, after = spent_and_unspent(policy, who="brand")
    asked, n_changed = a_list(policy, (0.0, 0.0), who="brand"), 0
    for draws in lattice():
        first, again = (settle(replace(asked, draws=draws), facts, RULES) for facts in (before, after))
        assert not {slot.action_id for slot in again.slots} & set(DEAR)
        assert [slot.draw for slot in again.slots] == list(draws)[: len(again.slots)]
        for slot in again.slots:
            assert slot.key == slot.distribution.take(slot.draw)
            assert slot.slot_probability == slot.distribution.probability(slot.key)
        n_changed += first.action_id != again.action_id
    assert n_changed > 0


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.name}-{policy.epsilon}")
def test_the_last_unit_goes_to_one_slot_of_a_list_only(policy: Policy) -> None:
    before, _ = spent_and_unspent(policy, who="customer")
    asked = a_list(policy, (0.0, 0.0), who="customer")
    for draws in lattice():
        decision = settle(replace(asked, draws=draws), before, RULES)
        assert len({slot.action_id for slot in decision.slots} & set(DEAR)) <= 1


def _assert_shares(decisions: list[Decision]) -> None:
    """Shares over the lattice are the probabilities: of the first slot, of each pair, and of a list that ends early."""
    n = len(decisions)
    first = Counter(decision.action_id for decision in decisions)
    lists = Counter(tuple(slot.action_id for slot in decision.slots) for decision in decisions)
    for decision in decisions:
        share = first[decision.action_id] / n
        assert share == pytest.approx(decision.action_probability, abs=1.5 / N_DRAWS)
        taken = tuple(slot.action_id for slot in decision.slots)
        assert lists[taken] / n == pytest.approx(decision.slots[-1].list_probability, abs=6.0 / N_DRAWS)
        assert NOTHING not in taken[:-1]
    reported = {tuple(slot.action_id for slot in one.slots): one.slots[-1].list_probability for one in decisions}
    assert sum(reported.values()) == pytest.approx(1.0, abs=8.0 / N_DRAWS)  # a list too rare for the lattice is missing
