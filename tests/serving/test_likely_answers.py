"""What customers would probably answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.brand import Trait
from serving.next_question.likely import Told, ToldCount

SKIN = Trait(kind="need", type="choice", choices=("dry", "oily"))


def probabilities(told: Told, segment: str | None, trait: Trait = SKIN) -> dict[object, float]:
    return {
        tuple(one.answer) if isinstance(one.answer, list) else one.answer: one.probability
        for one in told.likely("skin", trait, segment=segment)
    }


def test_where_nobody_has_spoken_every_choice_is_as_likely_as_another() -> None:
    assert probabilities(Told(strength=50.0), "s1") == {"dry": 0.5, "oily": 0.5}


def test_a_segment_that_has_not_spoken_is_believed_to_be_like_everyone() -> None:
    told = Told([ToldCount("skin", "s1", "dry", 50.0)], strength=50.0)
    everyone = (50 + 50 * 0.5) / (50 + 50)
    assert probabilities(told, "s2")["dry"] == everyone
    assert probabilities(told, None)["dry"] == everyone
    assert probabilities(told, "s1")["dry"] == (50 + 50 * everyone) / (50 + 50)


def test_a_large_segment_speaks_for_itself() -> None:
    counts = [ToldCount("skin", "s1", "dry", 90_000.0), ToldCount("skin", "s1", "oily", 10_000.0)]
    counts += [ToldCount("skin", "s2", "oily", 100_000.0)]
    assert probabilities(Told(counts, strength=50.0), "s1")["dry"] == pytest.approx(0.9, abs=0.001)


def test_a_choice_that_the_brand_has_given_up_is_not_expected_any_more() -> None:
    told = Told([ToldCount("skin", "s1", "mixed", 1_000.0), ToldCount("skin", "s1", "dry", 50.0)], strength=50.0)
    assert set(probabilities(told, "s1")) == {"dry", "oily"}
    assert sum(probabilities(told, "s1").values()) == pytest.approx(1.0)


def test_of_several_choices_the_one_that_is_tapped_is_told_as_a_list() -> None:
    many = Trait(kind="interest", type="choices", choices=("soap", "scent"))
    assert probabilities(Told(strength=50.0), None, many) == {("soap",): 0.5, ("scent",): 0.5}


def test_of_a_number_the_values_that_were_read_are_the_answers() -> None:
    income = Trait(kind="fact", type="number")
    told = Told([ToldCount("skin", "s1", 10_000.0, 30.0), ToldCount("skin", "s1", 50_000.0, 10.0)], strength=1.0)
    assert set(probabilities(told, None, income)) == {10_000.0, 50_000.0}


def test_of_free_text_nobody_can_say() -> None:
    assert Told(strength=50.0).likely("note", Trait(kind="fact", type="text"), segment=None) == ()


@given(st.dictionaries(st.sampled_from(["dry", "oily", "mixed"]), st.floats(0.0, 1e6)), st.floats(0.1, 1e3))
def test_the_probabilities_are_of_the_choices_and_sum_to_one(said: dict[str, float], strength: float) -> None:
    told = Told([ToldCount("skin", "s1", answer, n) for answer, n in said.items()], strength=strength)
    here = probabilities(told, "s1")
    assert set(here) == {"dry", "oily"}
    assert sum(here.values()) == pytest.approx(1.0)
    assert min(here.values()) > 0.0
