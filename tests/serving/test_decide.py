from __future__ import annotations

import json
from typing import Literal

import pytest

from experiments.records import HOLDOUT, PERSONALISED
from features.brand import Policy
from features.catalogue import NOTHING
from serving.decide import NOTHING_ELIGIBLE, Decision, Scores, settle
from serving.offers import Offer
from tests.serving.tiny_offers import an_offer, prepared

N_DRAWS = 2_000


def a_decision(
    *offers: Offer,
    initiated_by: Literal["customer", "brand"] = "customer",
    arm: str = PERSONALISED,
    answers: tuple[str, ...] = ("help", "bestsellers"),
    policy: Policy | None = None,
    draw: float = 0.5,
    scores: Scores | None = None,
) -> Decision:
    return settle(
        prepared(
            "d-1",
            *offers,
            initiated_by=initiated_by,
            arm=arm,
            answers=tuple(an_offer(name) for name in answers),
            policy=policy or Policy(name="epsilon_greedy", epsilon=0.2),
            draws=(draw,),
            scores=scores,
        )
    )


TIP, COUPON = an_offer("tip", value=2.0), an_offer("coupon", value=1.0)


@pytest.mark.parametrize("name", ["greedy", "epsilon_greedy", "uniform"])
@pytest.mark.parametrize("initiated_by", ["customer", "brand"])
def test_over_an_even_grid_of_draws_each_action_is_taken_as_often_as_it_reports(
    name: Literal["greedy", "epsilon_greedy", "uniform"], initiated_by: Literal["customer", "brand"]
) -> None:
    offers = (an_offer("tip", value=2.0), an_offer("coupon", value=2.0), an_offer("quiz", value=1.0))
    decisions = [
        a_decision(
            *offers,
            initiated_by=initiated_by,
            policy=Policy(name=name, epsilon=0.2),
            draw=(i + 0.5) / N_DRAWS,
        )
        for i in range(N_DRAWS)
    ]
    for action_id in {decision.action_id for decision in decisions}:
        taken = [decision for decision in decisions if decision.action_id == action_id]
        assert len(taken) / N_DRAWS == pytest.approx(taken[0].action_probability, abs=1.5 / N_DRAWS)


def test_a_held_out_customer_who_asks_gets_the_baseline_and_what_they_would_have_got_is_recorded() -> None:
    decision = a_decision(TIP, COUPON, arm=HOLDOUT, draw=0.99)
    assert (decision.action_id, decision.action_probability) == ("bestsellers", 1.0)
    assert decision.would_be_action_id == "tip"
    assert decision.distribution.as_dict() == pytest.approx({"coupon": 0.1, "tip": 0.9})
    assert decision.policy_name == "baseline"


def test_a_held_out_customer_hears_nothing_where_the_brand_would_have_spoken_first() -> None:
    decision = a_decision(TIP, arm=HOLDOUT, initiated_by="brand")
    assert (decision.action_id, decision.action_probability) == (NOTHING, 1.0)
    assert decision.would_be_action_id == "tip"


def test_a_customer_who_asks_gets_the_fallback_where_nothing_may_be_offered() -> None:
    decision = a_decision()
    assert (decision.action_id, decision.action_probability) == ("help", 1.0)
    assert (decision.policy_name, decision.fallback_reason) == ("fallback", NOTHING_ELIGIBLE)


def test_the_baseline_answers_where_the_fallback_cannot_be_said() -> None:
    assert a_decision(answers=("bestsellers",)).action_id == "bestsellers"


def test_the_brand_stays_silent_where_silence_is_the_only_candidate() -> None:
    decision = a_decision(initiated_by="brand")
    assert (decision.action_id, decision.action_probability) == (NOTHING, 1.0)


def test_a_decision_without_a_model_is_still_drawn_and_says_why() -> None:
    decision = a_decision(TIP, COUPON, scores=Scores(stage="awareness", fallback_reason="unknown_customer"))
    assert decision.fallback_reason == "unknown_customer"
    assert decision.policy_name == "epsilon_greedy"


def test_the_same_inputs_give_the_same_bytes() -> None:
    record = a_decision(TIP, COUPON, draw=0.25).record()
    assert record == a_decision(TIP, COUPON, draw=0.25).record()
    assert json.loads(record)["draw"] == 0.25
