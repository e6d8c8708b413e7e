"""What was worked out for others changes nothing for a customer: an answer is that of a shop that remembers nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from features.catalogue import Rendering, Slot
from features.derive import MISSING_INSTANT
from features.packing import EPOCH, CustomerState
from features.rendering import day_slots
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from serving.compose import Composer, Inputs
from serving.models import ServedModels
from serving.offers import Prepared
from serving.schemas import Context, DecisionRequest
from serving.scoring import Customer, ScoredCustomer, score_customers
from serving.shelf import Place, Shelf
from tests.serving.test_compose import World
from tests.serving.tiny_world import COUPON, NOON, PERSONAL, TIP, a_state, an_action

LAST = an_action(
    "last",
    slots={"at": Slot(expression="last_order_at")},
    renderings={"en": Rendering(body="You last came on {{ at | date }}.")},
)
OFTEN = an_action(
    "often",
    when="n_orders >= 2.0",
    slots={"orders": Slot(expression="int(n_orders)"), "need": Slot(expression="need", default="dry")},
    renderings={"en": Rendering(body="{{ orders | number }} orders for {{ need }} skin.")},
)
ACTIONS = (TIP, COUPON, PERSONAL, LAST, OFTEN)

CUSTOMERS = st.fixed_dictionaries(
    {
        "orders": st.integers(0, 3) | st.none(),
        "hours": st.integers(0, 60) | st.none(),  # since the last order
        "need": st.sampled_from(["dry", "oily", None]),
        "likely": st.sampled_from([None, 0.01, 0.4, 0.9]),
        "segment": st.sampled_from([None, "s1"]),
        "earns": st.dictionaries(st.sampled_from(["tip", "coupon", "last"]), st.integers(1, 50).map(float)),
        "without": st.sets(st.sampled_from(["tip", "last", "often"]), max_size=2),
        "only": st.none() | st.just(["coupon", "personal", "often"]),
    }
)


class Earns:
    """A response model that says of each action what it is told to."""

    def __init__(self, rewards: Mapping[str, float]) -> None:
        self._rewards = rewards

    def rewards(self, scored: ScoredCustomer, place: Place) -> Mapping[str, float]:
        return self._rewards


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("shop"), *ACTIONS)


def forgetful(world: World, folder: Path) -> Composer:
    variables = variables_of(world.brand, feature_variables(world.brand, Workspace(folder)))
    return Composer(world.brand, world.schema, Shelf(world.brand, world.catalogue, variables=variables))


def a_state_of(world: World, one: Mapping[str, Any]) -> CustomerState:
    state = a_state(world.schema, **({} if one["orders"] is None else {"n_orders": one["orders"]}))
    instants = np.full(len(world.schema.instants), MISSING_INSTANT, dtype=np.int64)
    if one["hours"] is not None:
        ordered = NOON - timedelta(hours=one["hours"])
        instants[world.schema.instants.index("last_order_at")] = (ordered - EPOCH) // timedelta(microseconds=1)
    declared = {} if one["need"] is None else {"need": one["need"]}
    return replace(state, instants=instants, declared=declared)


def prepared(world: World, composer: Composer, one: Mapping[str, Any]) -> Prepared:
    request = DecisionRequest(
        customer_id="c",
        placement="reply",
        channel="web",
        locale="en",
        context=Context(),
        excluded_actions=sorted(one["without"]) or None,
        candidate_actions=one["only"],
    )
    customer = Customer(1, a_state_of(world, one), {})
    (scored,) = score_customers([customer], models=ServedModels(), schema=world.schema, brand=world.brand, at=NOON)
    scores = with_fields(scored.scores, segment=one["segment"], purchase_propensity=one["likely"])
    inputs = Inputs(("d",), NOON, (0.5,), world.rates, {}, expected=Earns(one["earns"]))
    return composer.prepare(request, with_fields(scored, scores=scores), inputs)[0]


@settings(max_examples=40, deadline=None)
@given(customers=st.lists(CUSTOMERS, min_size=1, max_size=6))
def test_an_answer_does_not_depend_on_who_asked_before(world: World, customers: list[dict[str, Any]]) -> None:
    remembering = forgetful(world, Path("nowhere"))  # of these customers only: whoever comes first is any of them
    for one in customers:
        told, alone = (prepared(world, composer, one) for composer in (remembering, forgetful(world, Path("nowhere"))))
        kinds = [(offer.key, offer.valuation, offer.message, offer.cost) for offer in told.offers]
        assert kinds == [(offer.key, offer.valuation, offer.message, offer.cost) for offer in alone.offers]
        assert (told.suppressed, told.inputs) == (alone.suppressed, alone.inputs)
        assert [offer.valuation for offer in told.answers] == [offer.valuation for offer in alone.answers]


def test_a_text_that_tells_the_day_only_is_written_once_a_day(world: World) -> None:
    assert day_slots(LAST) == {"at"}
    assert day_slots(OFTEN) == frozenset()
    who: dict[str, Any] = {"orders": 1, "need": None, "likely": None, "segment": None, "earns": {}}
    who |= {"without": set(), "only": ["last"]}
    one, same_day, before = (prepared(world, world.composer, who | {"hours": hours}) for hours in (1, 2, 30))
    assert one.offers[0].message is same_day.offers[0].message
    assert before.offers[0].message.body == "You last came on February 28, 2026."


def test_what_is_not_read_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    shelf_writes = Shelf.written

    def noted(self: Shelf, offerable: Any, *where: Any, **named: Any) -> Any:
        if offerable.action.id == "last":
            written.append(named["slots"])
        return shelf_writes(self, offerable, *where, **named)

    monkeypatch.setattr(Shelf, "written", noted)
    composer = forgetful(world, Path("nowhere"))
    who: dict[str, Any] = {"orders": 1, "need": None, "likely": None, "segment": None, "earns": {}}
    who |= {"without": set(), "only": ["last"]}
    told = [prepared(world, composer, who | {"hours": 24 * days}) for days in range(1, 6)]
    assert len(written) == 1  # the first one, to see that it can be said
    assert told[4].offers[0].message.body == "You last came on February 24, 2026."
    assert len(written) == 2
