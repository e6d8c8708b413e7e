"""The sentences of an answer say what was so: what was counted, whose intent, which answer stood in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from serving.decide import Decision, settle
from serving.models import ServedModels
from serving.next_question.worth import Worth
from serving.offers import Offer
from serving.reasons import reasons
from serving.values import EstimatedRate, Valuation
from tests.serving.tiny_offers import an_offer, prepared
from tests.serving.tiny_world import a_brand

HELP, BEST = an_offer("help"), an_offer("bestsellers")


def told(decision: Decision) -> str:
    return " ".join(reasons(decision, ServedModels(), "en", brand=a_brand()))


def counted(n_decided: float, n_converted: int, *, rate: float = 0.07, action_id: str = "tip") -> str:
    offer = an_offer(action_id)
    estimated = EstimatedRate(rate, n_decided=n_decided, n_converted=n_converted, prior=0.07)
    offer = replace(offer, valuation=replace(offer.valuation, rate=estimated))
    return reasons(settle(prepared("d-1", offer)), ServedModels(), "en", brand=a_brand())[-1]


def off_script(intent: str, *, arm: str = "personalised") -> str:
    asked = prepared("d-1", arm=arm, answers=(HELP, BEST), off_script=an_offer("human"), unknown_intent=intent)
    return told(settle(asked))


def nothing_eligible(*answers: Offer, arm: str = "personalised") -> str:
    return told(settle(prepared("d-1", arm=arm, answers=answers)))


def test_of_saying_nothing_it_is_told_what_comes_by_itself() -> None:
    alone = "Nobody like this was left alone yet; expected 7.00% without any message."
    assert counted(0.0, 0, action_id=NOTHING) == alone
    some = "3 of 40 so far in this segment and stage; expected 7.00% without any message."
    assert counted(40.0, 3, action_id=NOTHING) == some


@pytest.mark.parametrize(
    ("n_decided", "n_converted", "says"),
    [
        (0.0, 0, "Nobody like this has had it yet; expected 7.00%."),
        (0.2, 0, "It is too new in this segment and stage to have been counted; expected 7.00%."),
        (0.2, 1, "1 of 1 so far in this segment and stage; expected 7.00%."),
        (40.0, 3, "3 of 40 so far in this segment and stage; expected 7.00%."),
    ],
)
def test_what_was_counted_is_said_and_what_was_not_is_not(n_decided: float, n_converted: int, says: str) -> None:
    assert counted(n_decided, n_converted) == says


def test_an_intent_that_the_brand_does_not_know_is_named_unless_it_may_be_the_customers_words() -> None:
    answers = "is not one of brand.yaml's intents, so the placement's off-script action answers."
    assert f"The intent 'complain' {answers}" in off_script("complain")
    words = off_script("Where is Aunt May's parcel?")
    assert f"What the customer wants {answers}" in words
    assert "May" not in words


def test_who_is_held_out_is_not_told_that_the_off_script_action_answers() -> None:
    assert "off-script action would have answered." in off_script("complain", arm=HOLDOUT)


def test_where_nothing_may_be_offered_the_answer_that_is_given_is_named() -> None:
    assert "so the placement's fallback 'help' answers." in nothing_eligible(HELP, BEST)
    assert "fallback 'help' be said, so its baseline 'bestsellers' answers." in nothing_eligible(BEST)
    assert "the placement's baseline 'bestsellers' answers." in nothing_eligible(HELP, BEST, arm=HOLDOUT)
    assert "the placement's fallback 'help' answers." in nothing_eligible(HELP, arm=HOLDOUT)
    assert "nothing is." in nothing_eligible()


def expected(taken: float, silence: float) -> str:
    """The last reason where the response model expects so much of a tip and of silence, and the better one is taken."""
    tip = an_offer("tip", value=taken)
    tip = replace(tip, valuation=replace(tip.valuation, reward=taken))
    asked = prepared("d-1", tip, initiated_by="brand")
    nothing = Valuation(NOTHING, silence, tip.valuation.rate, None, silence)
    asked = replace(asked, nothing=nothing)
    return reasons(settle(asked), ServedModels(), "en", brand=a_brand())[-1]


def test_what_the_response_model_expects_is_told_as_the_brands_money() -> None:
    with_it = "The response model expects €22.94 of this customer with it, incentives paid"
    assert expected(22.9403, 0.128608) == f"{with_it}, and €0.13 if nothing is said."


def test_where_nothing_is_taken_what_is_expected_of_it_is_told_once() -> None:
    assert expected(-1.0, 1234.5) == "The response model expects €1,234.50 of this customer if nothing is said."


def test_what_an_answer_would_add_is_told_as_the_brands_money() -> None:
    question = an_offer("ask_need", kind="question")
    worth = Worth(informed=10.5, uninformed=10.0, decisions=4.0, cost=0.25)
    question = replace(question, valuation=replace(question.valuation, worth=worth))
    told = reasons(settle(prepared("d-1", question)), ServedModels(), "en", brand=a_brand())[-1]
    assert told == "The answer would add €0.50 to each of 4 decisions; asking costs €0.25."


def test_the_only_one_that_may_be_said_is_not_called_the_best() -> None:
    alone = told(settle(prepared("d-1", an_offer("tip"))))
    assert "'tip' was taken with probability 1.000: the only one that may be said." in alone
    two = told(settle(prepared("d-1", an_offer("tip"), an_offer("gift", value=2.0))))
    assert "'gift' was taken with probability 1.000: the best value." in two
