from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

import pytest

from experiments.assignment import Assignment
from experiments.records import HOLDOUT, PERSONALISED
from features.brand import Placement, Policy
from features.catalogue import NOTHING
from serving.decide import NOTHING_ELIGIBLE, Availability, Decision, Scores, Situation, decide
from serving.values import EstimatedRate, Valuation

N_DRAWS = 2_000


def worth(action_id: str, value: float) -> Valuation:
    return Valuation(action_id, value, EstimatedRate(0.1, n_decided=0.0, n_converted=0, prior=0.1))


def a_decision(
    *,
    initiated_by: Literal["customer", "brand"] = "customer",
    arm: str = PERSONALISED,
    candidates: tuple[Valuation, ...] = (worth("tip", 2.0), worth("coupon", 1.0)),
    answers: frozenset[str] = frozenset({"bestsellers", "help"}),
    policy: Policy | None = None,
    draw: float = 0.5,
    scores: Scores | None = None,
) -> Decision:
    return decide(
        Situation(
            decision_id="d-1",
            customer_key=1,
            decided_at=datetime(2026, 3, 1, tzinfo=UTC),
            placement="reply",
            initiated_by=initiated_by,
            channel="web",
            locale_asked="en",
        ),
        placement=Placement(initiated_by=initiated_by, channels=("web",), baseline="bestsellers", fallback="help"),
        assignment=Assignment(arm, 0.9 if arm == PERSONALISED else 0.1),
        scores=scores or Scores(stage="awareness"),
        available=Availability(candidates, (), answers),
        policy=policy or Policy(name="epsilon_greedy", epsilon=0.2),
        draw=draw,
        versions={"brand": "abc"},
    )


@pytest.mark.parametrize("name", ["greedy", "epsilon_greedy", "uniform"])
@pytest.mark.parametrize("initiated_by", ["customer", "brand"])
def test_over_an_even_grid_of_draws_each_action_is_taken_as_often_as_it_reports(
    name: Literal["greedy", "epsilon_greedy", "uniform"], initiated_by: Literal["customer", "brand"]
) -> None:
    candidates: tuple[Valuation, ...] = (worth("tip", 2.0), worth("coupon", 2.0), worth("quiz", 1.0))
    if initiated_by == "brand":
        candidates = (*candidates, worth(NOTHING, 0.0))
    decisions = [
        a_decision(
            initiated_by=initiated_by,
            candidates=candidates,
            policy=Policy(name=name, epsilon=0.2),
            draw=(i + 0.5) / N_DRAWS,
        )
        for i in range(N_DRAWS)
    ]
    for action_id in {decision.action_id for decision in decisions}:
        taken = [decision for decision in decisions if decision.action_id == action_id]
        assert len(taken) / N_DRAWS == pytest.approx(taken[0].action_probability, abs=1.5 / N_DRAWS)


def test_a_held_out_customer_who_asks_gets_the_baseline_and_what_they_would_have_got_is_recorded() -> None:
    decision = a_decision(arm=HOLDOUT, draw=0.99)
    assert (decision.action_id, decision.action_probability) == ("bestsellers", 1.0)
    assert decision.would_be_action_id == "tip"
    assert decision.distribution.as_dict() == pytest.approx({"coupon": 0.1, "tip": 0.9})
    assert decision.policy_name == "baseline"


def test_a_held_out_customer_hears_nothing_where_the_brand_would_have_spoken_first() -> None:
    decision = a_decision(arm=HOLDOUT, initiated_by="brand", candidates=(worth("tip", 2.0), worth(NOTHING, 0.0)))
    assert (decision.action_id, decision.action_probability) == (NOTHING, 1.0)
    assert decision.would_be_action_id == "tip"


def test_a_customer_who_asks_gets_the_fallback_where_nothing_may_be_offered() -> None:
    decision = a_decision(candidates=())
    assert (decision.action_id, decision.action_probability) == ("help", 1.0)
    assert (decision.policy_name, decision.fallback_reason) == ("fallback", NOTHING_ELIGIBLE)


def test_the_baseline_answers_where_the_fallback_cannot_be_said() -> None:
    assert a_decision(candidates=(), answers=frozenset({"bestsellers"})).action_id == "bestsellers"


def test_the_brand_stays_silent_where_silence_is_the_only_candidate() -> None:
    decision = a_decision(initiated_by="brand", candidates=(worth(NOTHING, 0.0),))
    assert (decision.action_id, decision.action_probability) == (NOTHING, 1.0)


def test_a_decision_without_a_model_is_still_drawn_and_says_why() -> None:
    decision = a_decision(scores=Scores(stage="awareness", fallback_reason="unknown_customer"))
    assert decision.fallback_reason == "unknown_customer"
    assert decision.policy_name == "epsilon_greedy"


def test_the_same_inputs_give_the_same_bytes() -> None:
    record = a_decision(draw=0.25).record()
    assert record == a_decision(draw=0.25).record()
    assert json.loads(record)["draw"] == 0.25
