"""Columns say what offers made one by one say: values, distributions, records, and what is left of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.by_rate import after_incentives, before_incentive, worth_by_rate
from features.brand import Exploration, Policy
from features.catalogue import NOTHING, Incentive
from serving.candidates import recorded_offers, with_nothing
from serving.explaining.amounts import told_amount
from serving.lineup import Lineup, Offers
from serving.offers import Offer
from serving.policy import distribution_over
from serving.values import EstimatedRate, Valuation, value_action
from tests.serving.tiny_offers import an_offer

VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5000001, 2.0]), min_size=1, max_size=6)
LIKELY = st.none() | st.floats(0.0, 1.0)
POLICIES = st.sampled_from(
    [
        Policy(name="greedy"),
        Policy(name="epsilon_greedy", epsilon=0.2),
        Policy(name="uniform"),
        Policy(name="squarecb", gamma=20.0),
    ]
)


def offers_of(values: list[float]) -> list[Offer]:
    return [an_offer(f"a{len(values) - number}", value=value) for number, value in enumerate(values)]


def priced(number: int, *, rate: float, likely: float | None) -> Offer:
    """Every second offer has an incentive, which costs by the likelihood to buy."""
    one = an_offer(f"a{number}")
    incentive = Incentive(kind="amount", value=10.0, cost=10.0 + number) if number % 2 else None
    action = one.action.model_copy(update={"value": 100.0, "incentive": incentive})
    estimated = EstimatedRate(rate, 3.0, 1, 0.1)
    valuation = value_action(action, rate=estimated, purchase_propensity=likely, channel_price=one.place.channel.price)
    return Offer(one.key, action, one.channel, one.place, valuation, one.message, one.cost)


@given(rates=st.lists(st.floats(0.0, 1.0), max_size=5), likely=LIKELY, before=LIKELY)
def test_offers_of_a_lineup_are_those_that_would_be_made_for_the_customer_alone(
    rates: list[float], likely: float | None, before: float | None
) -> None:
    shared = [priced(number, rate=rate, likely=before) for number, rate in enumerate(rates)]
    alone = [priced(number, rate=rate, likely=likely) for number, rate in enumerate(rates)]
    lineup = Lineup(shared, priced=[number for number in range(len(rates)) if number % 2])
    values = lineup.values_for(likely)
    mine = Offers(lineup, values)
    assert [offer.valuation for offer in mine] == [offer.valuation for offer in alone]
    assert lineup.recorded(values) == recorded_offers(alone)
    assert json.loads(with_nothing(lineup.recorded(values), Valuation(NOTHING, 1.0, EstimatedRate(0.1, 0.0, 0, 0.1))))


@given(rates=st.lists(st.floats(0.0, 1.0), max_size=5), likely=LIKELY)
def test_values_are_told_as_each_would_be_told_alone(rates: list[float], likely: float | None) -> None:
    shared = [priced(number, rate=rate, likely=0.5) for number, rate in enumerate(rates)]
    lineup = Lineup(shared, priced=[number for number in range(len(rates)) if number % 2])
    values = lineup.values_for(likely)
    assert lineup.told(values) == [told_amount(value) for value in values]
    assert lineup.told(lineup.values_for(0.9)) == [told_amount(value) for value in lineup.values_for(0.9)]


@given(rate=st.floats(0.0, 1.0), likely=LIKELY, cost=st.floats(0.1, 50.0))
def test_an_incentive_costs_the_same_in_a_column_as_alone(rate: float, likely: float | None, cost: float) -> None:
    incentive = Incentive(kind="amount", value=1.0, cost=cost)
    action = an_offer("gift").action.model_copy(update={"incentive": incentive})
    (told,) = after_incentives(
        [before_incentive(action, rate=rate, channel_price=0.2)], [cost], [rate], purchase_propensity=likely
    )
    assert told == worth_by_rate(action, rate=rate, purchase_propensity=likely, channel_price=0.2)


@given(
    columns=st.lists(VALUES, min_size=1, max_size=4),
    policy=POLICIES,
    silence=st.none() | st.just(0.5),
    new=st.booleans(),
)
def test_a_remembered_distribution_is_the_one_of_the_values(
    columns: list[list[float]], policy: Policy, silence: float | None, new: bool
) -> None:
    exploration = Exploration(exposures=5, share=0.2)
    n_offers = min(len(values) for values in columns)
    offers = offers_of(columns[0][:n_offers])
    lineup, nothing = Lineup(offers), None
    if silence is not None:
        nothing = Valuation(NOTHING, silence, EstimatedRate(0.1, 0.0, 0, 0.1))
    explored = {offers[0].action.id} if new else set()
    for values in columns:  # the same line-up: each finds what those before it left
        asked: dict[str, Any] = {"reward_scale": None, "exploration": exploration, "new": explored}
        found = lineup.distribution(values[:n_offers], nothing, policy, **asked)
        by_key = dict(zip(lineup.keys, values, strict=False)) | ({} if silence is None else {NOTHING: silence})
        assert found == distribution_over(by_key, policy, **asked)


@given(values=VALUES, stays=st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_is_left_are_those_that_stay(values: list[float], stays: list[bool]) -> None:
    offers = offers_of(values)
    whole = Offers.of(offers)
    left = whole.left(tuple(stays[: len(offers)]))
    expected = [offer for offer, is_left in zip(offers, stays, strict=False) if is_left]
    assert left == expected
    assert [left.named(offer.key) for offer in expected] == expected
    assert left.named("nobody") is None
    assert whole == offers


def test_what_is_remembered_of_lists_does_not_grow_with_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.lineup.LEFT_REMEMBERED", 20)
    whole = Lineup(offers_of([float(number) for number in range(8)]))

    def drawn(left: Lineup, *, n_slots: int) -> None:
        """Every list that may be drawn, in whatever order."""
        for gone in range(len(left) if n_slots else 0):
            rest = left.left(tuple([place != gone for place in range(len(left))]))
            assert rest.keys == left.keys[:gone] + left.keys[gone + 1 :]
            drawn(rest, n_slots=n_slots - 1)

    def held(left: Lineup) -> int:
        return sum(1 + held(rest) for rest in left._left.values())

    drawn(whole, n_slots=4)
    assert held(whole) <= 20
    drawn(whole, n_slots=4)  # of what it did not remember: the same
    assert held(whole) <= 20


def test_a_lineup_reads_as_a_list() -> None:
    offers = offers_of([1.0, 2.0, 3.0])
    mine = Offers.of(offers)
    assert (mine[-1], mine[:2], len(mine)) == (offers[-1], tuple(offers[:2]), 3)
    with pytest.raises(IndexError):
        mine[3]
