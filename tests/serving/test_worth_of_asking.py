"""What a question is worth, on numbers that a human can add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.next_question.worth import Answered, decisions_expected, worth_of_asking


def answered(probability: float, **values: float) -> Answered:
    """Where nothing becomes possible or impossible by the answer."""
    return Answered(probability, values, values)


DRY = answered(0.5, soap=10.0, cream=30.0)
OILY = answered(0.5, soap=20.0, cream=0.0)


def test_knowing_is_worth_what_it_adds_to_the_best_choice() -> None:
    worth = worth_of_asking([DRY, OILY], decisions=1.0, cost=0.0)
    assert worth.informed == 0.5 * 30.0 + 0.5 * 20.0
    assert worth.uninformed == 0.5 * 30.0 + 0.5 * 0.0  # cream; soap has the same mean
    assert worth.value == 25.0 - 15.0


def test_an_answer_serves_every_decision_until_its_half_life_and_is_asked_for_once() -> None:
    assert worth_of_asking([DRY, OILY], decisions=6.0, cost=8.0).value == 6.0 * 10.0 - 8.0


def test_a_trait_that_changes_no_ranking_is_worth_nothing_however_much_it_moves_the_values() -> None:
    rich, poor = answered(0.3, soap=900.0, cream=100.0), answered(0.7, soap=9.0, cream=1.0)
    assert worth_of_asking([rich, poor], decisions=100.0, cost=0.0).value == 0.0


def test_what_the_answer_makes_possible_counts() -> None:
    told = Answered(1.0, offered={"tip": 5.0, "set_for_dry_skin": 24.0}, unasked={"tip": 5.0})
    assert worth_of_asking([told], decisions=1.0, cost=0.0).value == 24.0 - 5.0


def test_what_the_answer_makes_impossible_counts_against_it() -> None:
    told = Answered(1.0, offered={"tip": 5.0}, unasked={"tip": 5.0, "quiz": 19.0})
    assert worth_of_asking([told], decisions=1.0, cost=0.0).value == 5.0 - 19.0


def test_without_an_idea_of_the_answers_a_question_is_worth_minus_its_cost() -> None:
    assert worth_of_asking([], decisions=50.0, cost=3.0).value == -3.0


@st.composite
def worlds(draw: st.DrawFn) -> list[Answered]:
    actions = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    weights = draw(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
    money = st.floats(-1e4, 1e4)
    return [answered(weight / sum(weights), **{name: draw(money) for name in actions}) for weight in weights]


@given(worlds())
def test_knowing_more_never_hurts_where_it_closes_no_door(answers: list[Answered]) -> None:
    assert worth_of_asking(answers, decisions=1.0, cost=0.0).value >= 0.0


@given(worlds(), st.sampled_from("abcdef"))
def test_one_best_action_whatever_is_answered_makes_a_question_worthless(answers: list[Answered], best: str) -> None:
    same = [
        answered(a.probability, **(dict(a.offered) | {best: max(a.offered.values(), default=0.0) + 1.0}))
        for a in answers
    ]
    assert worth_of_asking(same, decisions=1000.0, cost=0.0).value == 0.0


def test_without_evidence_one_decision_is_expected_the_one_after_the_answer() -> None:
    assert decisions_expected([], window_days=30.0, half_life_days=120.0) == 1.0


def test_evidence_outweighs_that_belief_in_the_end() -> None:
    assert decisions_expected([3] * 10, window_days=30.0, half_life_days=60.0) == (10 * 1.0 + 30 * 2) / 20
    assert decisions_expected([3] * 100_000, window_days=30.0, half_life_days=60.0) == pytest.approx(6.0, rel=1e-3)


def test_a_fact_for_life_is_counted_for_a_year() -> None:
    year = decisions_expected([1] * 50, window_days=30.0, half_life_days=365.0)
    assert decisions_expected([1] * 50, window_days=30.0, half_life_days=36_500.0) == year
