"""Ranked sets, several channels and several places: slots are filled in order from what is left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.records import HOLDOUT, PERSONALISED
from features.brand import Placement, Policy
from features.catalogue import NOTHING
from serving.decide import Decision, settle, settle_all
from serving.eligibility import Suppressed
from serving.offers import Offer, Prepared
from tests.serving.tiny_offers import an_offer, prepared
from tests.serving.tiny_world import NOON

BEST, GOOD, FAIR = an_offer("best", value=3.0), an_offer("good", value=2.0), an_offer("fair", value=1.0)
GREEDY = Policy(name="greedy")


def ids(decision: Decision) -> list[str]:
    return [slot.action_id for slot in decision.slots]


def a_list(*offers: Offer, limit: int = 3, at_most_per_tag: int | None = None, **changes: object) -> Prepared:
    placement = Placement(
        initiated_by="customer",
        channels=("web",),
        baseline="bestsellers",
        fallback="help",
        at_most_per_tag=at_most_per_tag,
    )
    return prepared("d-1", *offers, draws=(0.5,) * limit, placement=placement, **changes)  # type: ignore[arg-type]


def test_a_list_holds_the_best_first_and_nothing_twice() -> None:
    assert ids(settle(a_list(FAIR, BEST, GOOD))) == ["best", "good", "fair"]


def test_a_list_ends_where_nothing_is_left_to_offer() -> None:
    decision = settle(a_list(BEST, GOOD, limit=50))
    assert ids(decision) == ["best", "good"]
    assert decision.fallback_reason is None


def test_a_list_of_which_nothing_may_be_offered_is_the_fallback_alone() -> None:
    decision = settle(a_list(answers=(an_offer("help"), an_offer("bestsellers"))))
    assert ids(decision) == ["help"]
    assert decision.policy_name == "fallback"


def test_nothing_ends_a_list_of_the_brands_own() -> None:
    decision = settle(prepared("d-1", BEST, FAIR, initiated_by="brand", draws=(0.5,) * 3, nothing=2.5))
    assert ids(decision) == ["best", NOTHING]
    assert [slot.offer for slot in decision.slots] == [BEST, None]


def test_no_more_of_one_tag_than_the_placement_takes_and_the_list_says_which_were_too_many() -> None:
    soaps = [an_offer(f"soap_{n}", value=9.0 - n, tags=("soap",)) for n in range(3)]
    decision = settle(a_list(*soaps, FAIR, at_most_per_tag=2, limit=4))
    assert ids(decision) == ["soap_0", "soap_1", "fair"]
    assert [(one.action_id, one.rule) for one in decision.slots[2].suppressed] == [("soap_2", "tag_limit")]


def test_a_list_that_is_shorter_than_asked_says_what_ended_it() -> None:
    soaps = [an_offer(f"soap_{n}", value=9.0 - n, tags=("soap",)) for n in range(3)]
    decision = settle(a_list(*soaps, at_most_per_tag=1, limit=4))
    assert ids(decision) == ["soap_0"]
    assert [(one.action_id, one.rule) for one in decision.kept_away] == [
        ("soap_1", "tag_limit"),
        ("soap_2", "tag_limit"),
    ]


def test_an_action_competes_on_every_channel_and_is_said_on_one() -> None:
    by_mail = an_offer("best", value=2.5, channel="mail", is_alone=False)
    on_web = an_offer("best", value=3.0, channel="web", is_alone=False)
    other = an_offer("good", value=1.0, channel="mail", is_alone=False)
    decision = settle(a_list(by_mail, on_web, other, channels=("mail", "web")))
    assert [(slot.key, slot.channel) for slot in decision.slots] == [("best@web", "web"), ("good@mail", "mail")]
    assert decision.channel == "web"
    assert set(decision.distribution.as_dict()) == {"best@mail", "best@web", "good@mail"}


def test_what_is_said_in_one_place_is_not_said_in_the_next() -> None:
    first, second = settle_all([a_list(BEST, GOOD, limit=1), a_list(BEST, GOOD, FAIR, limit=2)])
    assert ids(first) == ["best"]
    assert ids(second) == ["good", "fair"]
    assert [(one.action_id, one.rule) for one in second.suppressed] == [("best", "said_elsewhere")]


def test_of_a_held_out_customer_neither_what_is_said_nor_what_would_be_is_said_twice() -> None:
    answers = (an_offer("help"), an_offer("bestsellers"))
    asked = [a_list(BEST, GOOD, limit=1, arm=HOLDOUT, answers=answers) for _ in range(2)]
    decisions = settle_all(asked)
    assert [ids(one) for one in decisions] == [["bestsellers"], ["help"]]
    assert [one.would_be_action_id for one in decisions] == ["best", "good"]


@pytest.mark.parametrize(("arm", "first"), [(HOLDOUT, "bestsellers"), (PERSONALISED, "help")])
def test_who_asks_is_answered_in_every_place_though_it_was_said_elsewhere(arm: str, first: str) -> None:
    answers, other = (an_offer("help"), an_offer("bestsellers")), {"help": "bestsellers", "bestsellers": "help"}
    said = settle_all([a_list(limit=1, arm=arm, answers=answers) for _ in range(4)])
    assert [ids(one) for one in said] == [[first], [other[first]], [first], [first]]
    alone = settle_all([a_list(limit=1, arm=arm, answers=answers[:1]) for _ in range(2)])
    assert [ids(one) for one in alone] == [["help"], ["help"]]


@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=6),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
    policy=st.sampled_from([GREEDY, Policy(name="epsilon_greedy", epsilon=0.3), Policy(name="uniform")]),
    speaks_first=st.booleans(),
)
def test_every_slot_is_what_its_draw_takes_and_a_lists_probability_is_the_product(
    values: Sequence[float], draws: Sequence[float], policy: Policy, speaks_first: bool
) -> None:
    offers = [an_offer(f"a{n}", value=value) for n, value in enumerate(values)]
    who: Literal["brand", "customer"] = "brand" if speaks_first else "customer"
    decision = settle(prepared("d-1", *offers, initiated_by=who, policy=policy, draws=tuple(draws)))
    assert len(set(ids(decision))) == len(ids(decision))
    assert NOTHING not in ids(decision)[:-1]
    for number, slot in enumerate(decision.slots):
        assert slot.draw == draws[number]
        assert slot.key == slot.distribution.take(slot.draw)
        assert math.isclose(sum(slot.distribution.probabilities), 1.0)
        chances = [one.slot_probability for one in decision.slots[: number + 1]]
        assert math.isclose(slot.list_probability, math.prod(chances))


class OneADay:
    """Lets one of everything through, and says when the next one may come."""

    def judge_all(self, offers: Sequence[Offer], facts: Counted, **_: object) -> list[Suppressed | None]:
        return [Suppressed(offer.action.id, "one_a_day") if facts.n else None for offer in offers]

    def send_at(self, *_: object) -> datetime | None:
        return NOON + timedelta(hours=2)

    def reserved_until(self, at: datetime) -> datetime:
        return at + timedelta(days=1)


class Counted:
    """How much was said, and how the last of it."""

    def __init__(self, n: int = 0, last: tuple[datetime | None, datetime | None] = (None, None)) -> None:
        self.n, self.last = n, last

    def after(self, _: Offer, at: datetime, *, said_at: datetime | None, open_until: datetime | None) -> Counted:
        return Counted(self.n + 1, (said_at, open_until))

    def as_dict(self) -> dict[str, object]:
        return {"n": self.n}


def test_rules_see_what_the_slots_and_places_before_have_said() -> None:
    asked = [a_list(BEST, GOOD), a_list(FAIR, answers=(an_offer("help"),))]
    first, second = settle_all(asked, Counted(), OneADay())
    assert ids(first) == ["best"]
    assert ids(second) == ["help"]
    assert [one.rule for one in second.suppressed] == ["one_a_day"]
    assert (first.counters, second.counters) == ({"n": 0}, {"n": 1})


def test_a_slot_says_when_it_may_be_sent() -> None:
    decision = settle(a_list(BEST, limit=1), Counted(), OneADay())
    assert decision.slots[0].send_at == NOON + timedelta(hours=2)


def test_the_same_facts_give_the_same_list_and_others_another_from_the_same_draws() -> None:
    asked = replace(a_list(BEST, GOOD, FAIR, policy=Policy(name="uniform")), draws=(0.1, 0.9, 0.4))
    assert settle(asked).record() == settle(asked).record()
    without = settle(replace(asked, offers=(BEST, FAIR)))
    assert [slot.draw for slot in without.slots] == [0.1, 0.9]
