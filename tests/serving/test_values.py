from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import NOTHING, Action, Incentive, Rendering
from serving.next_question.worth import Worth
from serving.values import (
    ActionCount,
    EstimatedRate,
    Rates,
    Valuation,
    comes_anyway,
    on_one_scale,
    value_action,
    value_of_nothing,
)

STRENGTH = 50.0


def a_message(*, value: float = 100.0, incentive: Incentive | None = None) -> Action:
    return Action(
        id="tip",
        kind="offer" if incentive else "message",
        stage="awareness",
        goal="order",
        channels=("web",),
        placements=("banner",),
        value=value,
        expected_rate=0.1,
        incentive=incentive,
        renderings={"en": Rendering(body="Hello.")},
    )


def a_rate(rate: float) -> EstimatedRate:
    return EstimatedRate(rate, n_decided=0.0, n_converted=0, prior=rate)


def test_before_anything_was_measured_the_rate_is_the_expected_one() -> None:
    rates = Rates([], priors={"tip": 0.1}, strength=STRENGTH)
    assert rates.rate("tip", segment="s1", stage="awareness").rate == pytest.approx(0.1)


def test_a_cell_shrinks_to_its_action_and_the_action_to_the_catalogue() -> None:
    counts = [ActionCount("s1", "awareness", "tip", 100, 20), ActionCount("s2", "awareness", "tip", 50, 0)]
    rates = Rates(counts, priors={"tip": 0.1}, strength=STRENGTH)
    of_action = (20 + 0 + 50 * 0.1) / (100 + 50 + 50)
    assert rates.rate("tip", segment="s1", stage="awareness").rate == pytest.approx((20 + 50 * of_action) / (100 + 50))
    assert rates.rate("tip", segment="s3", stage="awareness").rate == pytest.approx(of_action)


def test_a_conversion_in_its_first_hour_is_one_decision_and_no_rate_passes_one() -> None:
    rates = Rates([ActionCount("", "awareness", "tip", 0.01, 1)], priors={"tip": 0.1}, strength=STRENGTH)
    of_action = (1 + 50 * 0.1) / (1 + 50)
    assert rates.rate("tip", segment=None, stage="awareness").rate == pytest.approx((1 + 50 * of_action) / (1 + 50))


def test_a_message_is_worth_its_margin_after_the_price_of_the_channel() -> None:
    valued = value_action(a_message(), rate=a_rate(0.1), purchase_propensity=None, channel_price=0.8)
    assert valued.value == pytest.approx(0.1 * 100 - 0.8)


def test_an_incentive_is_charged_on_who_converts() -> None:
    offer = a_message(incentive=Incentive(kind="amount", value=30.0, cost=30.0))
    valued = value_action(offer, rate=a_rate(0.1), purchase_propensity=0.05, channel_price=0.0)
    assert valued.value == pytest.approx(0.1 * 100 - 30 * 0.1)


def test_an_incentive_is_charged_on_who_would_have_bought_anyway() -> None:
    offer = a_message(incentive=Incentive(kind="amount", value=30.0, cost=30.0))
    valued = value_action(offer, rate=a_rate(0.1), purchase_propensity=0.6, channel_price=0.0)
    assert valued.value == pytest.approx(0.1 * 100 - 30 * 0.6)


def test_nothing_is_worth_what_comes_by_itself() -> None:
    assert value_of_nothing(rate=a_rate(0.02), goal_value=100.0).value == pytest.approx(0.02 * 100)


def modelled(rewards: dict[str, float], *, by_rate: dict[str, float]) -> list[Valuation]:
    return [
        Valuation(name, by_rate[name], a_rate(0.1))
        if name not in rewards
        else Valuation(name, rewards[name], a_rate(0.1), None, rewards[name], rewards[name] - by_rate[name])
        for name in by_rate
    ]


def test_what_the_model_cannot_speak_of_stands_beside_the_others_as_their_rates_stand_to_what_it_expects() -> None:
    by_rate = {"tip": 1.0, "coupon": 3.0, "brand_new": 5.0, NOTHING: 0.0}
    valued = on_one_scale(modelled({"tip": 41.0, "coupon": 42.0, NOTHING: 40.0}, by_rate=by_rate))
    assert {one.action_id: one.value for one in valued} == pytest.approx(
        {"tip": 41.0, "coupon": 42.0, "brand_new": 5.0 + (40.0 + 39.0) / 2, NOTHING: 40.0}
    )
    assert [one.base for one in valued] == [None, None, pytest.approx(39.5), None]


def test_where_the_model_speaks_of_silence_alone_what_it_expects_of_that_counts() -> None:
    valued = on_one_scale(modelled({NOTHING: 40.0}, by_rate={"brand_new": 5.0, NOTHING: 1.0}))
    assert [one.value for one in valued] == [44.0, 40.0]


def test_a_question_is_worth_what_its_answer_adds_to_what_comes_anyway() -> None:
    worth = Worth(informed=3.0, uninformed=2.0, decisions=2.0, cost=0.5)
    question = Valuation("ask", worth.value, a_rate(0.0), worth)
    others = modelled({"tip": 41.0, NOTHING: 40.0}, by_rate={"tip": 1.0, NOTHING: 0.0})
    assert on_one_scale([question, *others])[0].value == pytest.approx(41.5)
    assert on_one_scale([question, *others[:1]])[0].value == pytest.approx(42.5)


money = st.floats(-500, 500)


@given(
    by_rate=st.dictionaries(st.sampled_from([NOTHING, *"abcdef"]), money, min_size=1),
    rewards=st.dictionaries(st.sampled_from([NOTHING, *"abcdef"]), money),
    more=money,
)
def test_what_comes_anyway_changes_no_gap_between_what_competes(
    by_rate: dict[str, float], rewards: dict[str, float], more: float
) -> None:
    rewards = {name: reward for name, reward in rewards.items() if name in by_rate}
    before = on_one_scale(modelled(rewards, by_rate=by_rate))
    after = on_one_scale(modelled({name: reward + more for name, reward in rewards.items()}, by_rate=by_rate))
    moved = more if rewards else 0.0
    assert [one.value for one in after] == pytest.approx([one.value + moved for one in before], abs=1e-6)
    assert comes_anyway(after) == pytest.approx(comes_anyway(before) + moved, abs=1e-6)


def test_where_the_model_speaks_of_all_or_of_none_nothing_is_moved() -> None:
    by_rate = {"tip": 1.0, NOTHING: 0.0}
    for rewards in ({}, {"tip": 41.0, NOTHING: 40.0}):
        valued = modelled(rewards, by_rate=by_rate)
        assert on_one_scale(valued) is valued
