"""A value taken apart adds up to it, and a rule that keeps an action away is a sentence."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.brand import Trait
from features.catalogue import NOTHING, Incentive
from features.schema import feature_schema
from features.workspace import Workspace
from serving import decide, eligibility, there
from serving.contact import blocks, consent
from serving.explaining.conditions import Named
from serving.explaining.meanings import Meanings
from serving.explaining.propensity import propensity_explained
from serving.explaining.suppressed import RULES, why_suppressed
from serving.explaining.worth import worth_of
from serving.next_question import asked, asking
from serving.values import ActionCount, Rates, Valuation, value_action, value_of_nothing
from tests.serving.tiny_world import a_brand, an_action
from training.artifact import Contributions

counts = st.tuples(st.floats(0, 500), st.integers(0, 200))
shares = st.floats(0, 1)


def as_recorded(valuation: Valuation) -> dict[str, object]:
    rate = asdict(valuation.rate)
    return {"action_id": valuation.action_id, "value": valuation.value, **rate}


def rates_of(action_id: str, count: tuple[float, int], prior: float) -> Rates:
    counted = [ActionCount("s1", "loyalty", action_id, *count)]
    return Rates(counted, priors={action_id: prior}, strength=50.0)


@given(count=counts, prior=shares, propensity=st.none() | shares, cost=st.floats(0, 50), value=st.floats(0, 1_000))
def test_the_parts_of_an_actions_value_sum_to_it(
    count: tuple[float, int], prior: float, propensity: float | None, cost: float, value: float
) -> None:
    action = an_action("gift", value=value, incentive=Incentive(kind="amount", value=cost, cost=cost))
    rate = rates_of("gift", count, prior).rate("gift", segment="s1", stage="loyalty")
    valued = value_action(action, rate=rate, purchase_propensity=propensity, channel_price=0.5)
    parts = worth_of(as_recorded(valued), action, brand=a_brand(), channel="mail", purchase_propensity=propensity)
    assert sum(part.amount for part in parts) == pytest.approx(valued.value, abs=1e-9)
    beside = as_recorded(valued) | {"value": valued.value + 7.25, "base": 7.25}
    (*same, base) = worth_of(beside, action, brand=a_brand(), channel="mail", purchase_propensity=propensity)
    assert [part.amount for part in same] == pytest.approx([part.amount for part in parts], abs=1e-9)
    assert (base.name, base.amount) == ("base", 7.25)


@pytest.mark.parametrize(
    ("base", "compared", "done"),
    [(7.25, "€7.25 more", "€7.25 is added"), (-14.39, "€14.39 less", "€14.39 is taken off")],
)
def test_what_the_response_model_cannot_speak_of_says_why_its_value_was_moved(
    base: float, compared: str, done: str
) -> None:
    rate = rates_of("gift", (200.0, 20), 0.2).rate("gift", segment="s1", stage="loyalty")
    valued = value_action(an_action("gift"), rate=rate, purchase_propensity=None, channel_price=0.5)
    beside = as_recorded(valued) | {"value": valued.value + base, "base": base}
    told = worth_of(beside, an_action("gift"), brand=a_brand(), channel="mail", purchase_propensity=None)[-1].in_words
    assert f"on average {compared} within" in told
    assert told.endswith(f"So that it is compared fairly with them, {done}.")


@given(reward=st.floats(-50, 500), silence=st.none() | st.floats(-50, 500), propensity=st.none() | shares)
def test_the_parts_of_an_expected_reward_sum_to_the_value_and_its_incentive_is_not_charged_twice(
    reward: float, silence: float | None, propensity: float | None
) -> None:
    action = an_action("gift", incentive=Incentive(kind="amount", value=30.0, cost=30.0))
    rate = rates_of("gift", (200.0, 20), 0.2).rate("gift", segment="s1", stage="loyalty")
    valued = value_action(action, rate=rate, purchase_propensity=propensity, channel_price=0.5, reward=reward)
    assert valued.value == reward - 0.5
    recorded = as_recorded(valued) | {"reward": valued.reward}
    parts = worth_of(recorded, action, brand=a_brand(), channel="mail", purchase_propensity=propensity, silence=silence)
    assert sum(part.amount for part in parts) == pytest.approx(valued.value, abs=1e-9)
    names = ["response", "price"] if silence is None else ["silence", "uplift", "price"]
    assert [part.name for part in parts] == names
    assert "The response model expects" in parts[0].in_words or "the response model expects" in parts[0].in_words


@given(count=counts, prior=shares, goal=st.floats(0, 1_000))
def test_the_parts_of_silence_sum_to_what_it_is_worth(count: tuple[float, int], prior: float, goal: float) -> None:
    rate = rates_of(NOTHING, count, prior).rate(NOTHING, segment="s1", stage="loyalty")
    valued = value_of_nothing(rate=rate, goal_value=goal)
    parts = worth_of(as_recorded(valued), None, brand=a_brand(), channel="mail", purchase_propensity=None)
    assert sum(part.amount for part in parts) == pytest.approx(valued.value, abs=1e-9)


def test_the_parts_of_a_question_are_what_it_gains_and_what_it_costs() -> None:
    worth = {"gain": 7.5, "decisions": 4.0, "cost": 2.0}
    candidate = {"action_id": "ask_need", "value": 7.5 * 4 - 2, "rate": 0.0, "prior": 0.0, "worth": worth}
    question = an_action("ask_need", kind="question")
    parts = worth_of(candidate, question, brand=a_brand(), channel="web", purchase_propensity=None)
    assert [(part.name, part.amount) for part in parts] == [("question", 30.0), ("asking", -2.0)]
    assert "over 4.0 decisions" in parts[0].in_words


def test_the_words_say_what_was_counted_and_who_would_have_bought_anyway() -> None:
    action = an_action("coupon", incentive=Incentive(kind="amount", value=30.0, cost=30.0))
    rate = rates_of("coupon", (200.0, 20), 0.2).rate("coupon", segment="s1", stage="loyalty")
    valued = value_action(action, rate=rate, purchase_propensity=0.5, channel_price=0.5)
    parts = worth_of(as_recorded(valued), action, brand=a_brand(), channel="mail", purchase_propensity=0.5)
    words = {part.name: part.in_words for part in parts}
    assert "20 of 200 reached it, which weighs 80%" in words["counts"]
    assert "€30" in words["incentive"]
    assert "50.00% would buy anyway" in words["incentive"]
    assert "€0.50" in words["price"]


def test_a_rule_says_when_the_action_may_come_back_in_the_brands_clock() -> None:
    capped = {
        "rule": "frequency_cap",
        "detail": "weekly: 3 of at most 3 exposures in a rolling 7 days window",
        "eligible_at": "2026-03-08T12:00:00+00:00",
    }
    told = why_suppressed(capped, time_zone="Asia/Kolkata", condition="", names=Named)
    assert "3 of at most 3" in told
    assert "8 March 2026, 17:30:00 (Asia/Kolkata)" in told


def test_a_never_is_never() -> None:
    refused = {"rule": "refused", "detail": "'never' to tip", "counter": {"reason": "never"}, "eligible_at": None}
    assert why_suppressed(refused, time_zone="UTC", condition="", names=Named).endswith("It will not be offered again.")


def test_a_rule_that_this_page_does_not_know_is_still_told() -> None:
    told = why_suppressed({"rule": "full_moon", "detail": "tonight"}, time_zone="UTC", condition="", names=Named)
    assert told == "Full moon: tonight."


def test_what_makes_a_purchase_likely_is_told_in_the_features_own_words(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    schema = feature_schema(a_brand(), Workspace(tmp_path_factory.mktemp("nothing")))
    inputs = np.full(len(schema.model_inputs), np.nan)
    inputs[schema.model_inputs.index("n_orders")] = 5.0
    inputs[schema.model_inputs.index("trait_need")] = 1.0
    contributions = Contributions(-2.0, {"n_orders": 0.9, "trait_need": -0.3, "revenue": 0.01, "gap": 0.0})
    told = propensity_explained(
        contributions,
        inputs.tolist(),
        meanings=Meanings(schema, a_brand()),
        probability=0.4,
        horizon_days=30,
    )
    assert told["score"] == pytest.approx(-2.0 + 0.9 - 0.3 + 0.01)
    assert [one["name"] for one in told["contributions"]] == ["n_orders", "trait_need", "revenue"]
    first, second, third = (one["in_words"] for one in told["contributions"])
    assert first.startswith("Orders with distinct order ids, ever is 5 orders: much more likely (odds × 2.46)")
    assert second.startswith("They told us need: oily: less likely")
    assert "is unknown: a little more likely" in third
    assert told["in_words"][0] == "40.0% likely to buy within 30 days."


def test_money_that_we_know_of_a_customer_is_told_as_the_brands_money(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    schema = feature_schema(a_brand(), Workspace(tmp_path_factory.mktemp("money")))
    mean = "Mean total of an order, in the last 90 days is €1,199.50"
    meanings = Meanings(schema, a_brand())
    assert meanings.of("mean_order_value_90d", 1199.5) == mean
    unknown = "Mean total of an order; missing without one, in the last 90 days is unknown"
    assert meanings.of("mean_order_value_90d", None) == unknown
    for column in schema.columns:
        assert "currency" not in meanings.of(column.name, 2.0)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("days_since_last_product_view", 20.088, "Last product viewed 20.1 days ago"),
        ("days_since_last_product_view", 1.0, "Last product viewed 1 day ago"),
        ("n_orders", 1.0, "Orders with distinct order ids, ever is 1 order"),
        ("basket_size_mean", 1.5, "Mean number of items in an order is 1.5 items"),
        ("days_since_last_refund", None, "Last refund is unknown"),
        ("usual_order_weekday", 7.0, "Most frequent weekday of orders is Sunday"),
        ("trait_likes_soap", 1.0, "Whether 'likes' includes 'soap' is true"),
        ("refund_rate", 0.25, "Refunds per order is 25%"),
        ("n_orders_30d", 2.0, "Orders with distinct order ids, in the last 30 days is 2 orders"),
    ],
)
def test_inputs_are_told_as_people_say_them(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: float | None, told: str
) -> None:
    likes = Trait(kind="interest", type="choices", choices=("soap", "scent"))
    brand = a_brand().model_copy(update={"traits": {"likes": likes}})
    schema = feature_schema(brand, Workspace(tmp_path_factory.mktemp("words")))
    assert Meanings(schema, brand).of(name, value) == told


def test_every_rule_that_keeps_an_action_away_has_its_own_words() -> None:
    rules = {
        *(eligibility.NOT_YET_VALID, eligibility.EXPIRED, eligibility.WHEN, eligibility.WHEN_UNKNOWN),
        *(eligibility.NOT_RENDERABLE, there.EXCLUDED, there.NOT_A_CANDIDATE, decide.TAG_LIMIT),
        *(decide.SAID_ELSEWHERE, consent.NO_CONSENT, consent.UNSUBSCRIBED, blocks.REFUSED, blocks.CARRIER_LIMIT),
        *(blocks.QUIET_HOURS, blocks.FREQUENCY_CAP, blocks.BUDGET, blocks.NO_COUPON_CODE, asked.ALREADY_ASKED),
        *(asked.ENOUGH_ASKED, asking.ALREADY_KNOWN, asking.WORTH_NOTHING),
    }
    assert rules <= set(RULES)


@pytest.mark.parametrize(
    ("n_decided", "n_converted", "told"),
    [
        (0.0, 0, "Nothing has been counted yet in this segment and stage."),
        (0.2, 0, "In this segment and stage it is too new to have been counted: together 4.98%."),
        (0.2, 3, "In this segment and stage 3 of 3 reached it, which weighs 6%: together 4.98%."),
    ],
)
def test_what_is_hardly_counted_is_never_told_as_none_of_none(n_decided: float, n_converted: int, told: str) -> None:
    candidate = {"action_id": "coupon", "value": 4.98, "rate": 0.0498, "prior": 0.05}
    counted = {"n_decided": n_decided, "n_converted": n_converted}
    action = an_action("coupon")
    parts = worth_of(candidate | counted, action, brand=a_brand(), channel="web", purchase_propensity=None)
    assert parts[1].in_words == told
