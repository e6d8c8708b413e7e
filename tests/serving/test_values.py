from __future__ import annotations

import pytest

from features.catalogue import Action, Incentive, Rendering
from serving.values import ActionCount, EstimatedRate, Rates, value_action, value_of_nothing

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
