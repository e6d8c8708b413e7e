"""Questions beside offers: which is asked, which is not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from features.brand import Brand, Placement, Rewards, Trait
from features.packing import CustomerState, Missing
from features.schema import FeatureSchema, feature_schema
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from serving.compose import Composer, Inputs
from serving.contact.facts import Facts, facts_of
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.decide import Decision, settle
from serving.models import ServedModels
from serving.next_question.asked import NEVER_ASKED, AskedBefore
from serving.next_question.asking import About, Asking, imagine, known_of, traits_asked
from serving.next_question.likely import Told
from serving.schemas import Context, DecisionRequest
from serving.scoring import Customer, score_customers
from serving.shelf import Shelf
from serving.values import Rates, prior_rates
from tests.serving.tiny_world import NOON, TIP, a_brand, a_catalogue, a_state, an_action

NEED = Trait(
    kind="need",
    type="choice",
    choices=("dry", "oily"),
    question={"en": "Which skin?"},
    labels={"dry": {"en": "Dry"}, "oily": {"en": "Oily"}},
    half_life_days=30.0,
)
LIKES = Trait(
    kind="interest",
    type="choices",
    choices=("soap", "scent"),
    question={"en": "What do you like?"},
    labels={"soap": {"en": "Soap"}, "scent": {"en": "Scent"}},
)
CREAM = an_action("cream", when="need == 'dry'", expected_rate=0.3)
SOAP = an_action("soap", when="need == 'oily'", expected_rate=0.2)
GAIN = 0.5 * 0.3 * 100 + 0.5 * 0.2 * 100 - 0.1 * 100  # cream for the dry, soap for the oily; else the tip


class World:
    """A brand that may ask for two traits, of which one matters."""

    def __init__(
        self,
        folder: Path,
        *,
        cost: float = 1.0,
        intents: tuple[str, ...] = (),
        traits: Mapping[str, Trait] | None = None,
        **placed: object,
    ) -> None:
        asks = Placement(
            initiated_by="customer",
            channels=("web", "chat", "mail"),
            baseline="tip",
            fallback="tip",
            questions=("need", "likes"),
        ).model_copy(update=placed)
        tiny = a_brand()
        self.brand: Brand = tiny.model_copy(
            update={
                "traits": {**tiny.traits, "need": NEED, "likes": LIKES, **(traits or {})},
                "placements": {**tiny.placements, "reply": asks},
                "rewards": Rewards(question_cost=cost),
                "intents": intents,
            }
        )
        self.catalogue = a_catalogue(TIP, CREAM, SOAP)
        workspace = Workspace(folder)
        self.schema: FeatureSchema = feature_schema(self.brand, workspace)
        variables = variables_of(self.brand, feature_variables(self.brand, workspace))
        self.composer = Composer(self.brand, self.schema, Shelf(self.brand, self.catalogue, variables=variables))
        self.rules = ContactRules(self.brand, self.catalogue)
        self.rates = Rates([], priors=prior_rates(self.brand, self.catalogue), strength=50.0)

    def decide(
        self,
        *,
        channel: str = "web",
        limit: int = 1,
        context: Context | None = None,
        state: CustomerState | Missing | None = None,
        before: AskedBefore = NEVER_ASKED,
        meanwhile: AskedBefore = NEVER_ASKED,
        decisions: float = 1.0,
    ) -> Decision:
        request = DecisionRequest(
            customer_id="c", placement="reply", channel=channel, limit=limit, context=context or Context()
        )
        customer = Customer(1, state or Missing("unknown_customer"), request.context.traits)
        traits, told = traits_asked(request, self.brand), Told(strength=50.0)
        known = known_of(customer, traits)
        about = {
            name: About(told.likely(name, self.brand.traits[name], segment=None), decisions, 0.0)
            for name in traits
            if name not in known
        }
        models = ServedModels()
        asking = imagine(
            Asking(known, before, about), customer, models=models, schema=self.schema, brand=self.brand, at=NOON
        )
        (scored,) = score_customers([customer], models=models, schema=self.schema, brand=self.brand, at=NOON)
        inputs = Inputs(
            decision_ids=("d",), at=NOON, draws=(0.5,) * limit, rates=self.rates, versions={}, asking=asking
        )
        (prepared,) = self.composer.prepare(request, scored, inputs)
        return settle(prepared, Facts(terms=self.rules.terms, asked=meanwhile), self.rules)


def suppressed(decision: Decision) -> dict[str, str]:
    return {one.action_id: one.rule for one in decision.suppressed}


def value_of(decision: Decision, action_id: str) -> float:
    return next(valuation.value for _, valuation in decision.candidates if valuation.action_id == action_id)


def test_a_question_that_matters_is_asked_before_an_offer_is_made(tmp_path: Path) -> None:
    decision = World(tmp_path).decide()
    assert decision.action_id == "ask_need"
    assert value_of(decision, "ask_need") == pytest.approx(GAIN * 1.0 - 1.0)
    message = decision.slots[0].offer.message if decision.slots[0].offer else None
    assert message is not None
    assert message.body == "Which skin?"
    assert message.replies == (
        {"text": "Dry", "trait": "need", "value": "dry"},
        {"text": "Oily", "trait": "need", "value": "oily"},
    )


def test_a_question_that_changes_no_choice_is_worth_nothing_and_never_asked(tmp_path: Path) -> None:
    decision = World(tmp_path, cost=0.0).decide()
    assert suppressed(decision)["ask_likes"] == "worth_nothing"


def test_a_question_whose_answers_nobody_has_ever_given_is_worth_nothing_yet(tmp_path: Path) -> None:
    born = NEED.model_copy(update={"type": "date", "choices": (), "labels": {}, "question": {"en": "Born when?"}})
    world = World(tmp_path, traits={"born": born}, questions=("need", "born"))
    decision = world.decide()
    assert suppressed(decision)["ask_born"] == "worth_nothing"
    assert decision.action_id == "ask_need"
    assert world.decide(context=Context(traits={"need": "dry"})).action_id == "cream"  # and nothing else to imagine


def test_an_offer_that_earns_more_now_goes_first(tmp_path: Path) -> None:
    decision = World(tmp_path, cost=6.0).decide()  # 15 - 6 = 9, and the tip is worth 10
    assert decision.action_id == "tip"
    assert value_of(decision, "ask_need") == pytest.approx(GAIN - 6.0)


def test_a_question_that_costs_more_than_it_brings_is_not_even_explored(tmp_path: Path) -> None:
    assert suppressed(World(tmp_path, cost=20.0).decide())["ask_need"] == "worth_nothing"


def test_whoever_comes_often_is_worth_asking(tmp_path: Path) -> None:
    decision = World(tmp_path, cost=20.0).decide(decisions=4.0)
    assert decision.action_id == "ask_need"
    assert value_of(decision, "ask_need") == pytest.approx(GAIN * 4.0 - 20.0)


def test_the_price_of_the_channel_is_a_cost_of_asking(tmp_path: Path) -> None:
    decision = World(tmp_path).decide(channel="chat")
    assert value_of(decision, "ask_need") == pytest.approx(
        (0.5 * (30 - 1) + 0.5 * (20 - 1) - (10 - 1)) * 1.0 - (1.0 + 1.0)
    )


def test_on_a_channel_on_which_nobody_can_answer_nothing_is_asked(tmp_path: Path) -> None:
    decision = World(tmp_path).decide(channel="mail")
    assert decision.action_id == "tip"
    assert not [one for one in decision.suppressed if one.action_id.startswith("ask_")]


def test_what_the_customer_has_declared_or_the_caller_knows_is_not_asked(tmp_path: Path) -> None:
    world = World(tmp_path)
    told = world.decide(context=Context(traits={"need": "dry"}))
    assert (told.action_id, suppressed(told)["ask_need"]) == ("cream", "already_known")
    declared = world.decide(state=replace(a_state(world.schema), declared={"need": "oily"}))
    assert (declared.action_id, suppressed(declared)["ask_need"]) == ("soap", "already_known")


def test_no_question_is_asked_twice(tmp_path: Path) -> None:
    decision = World(tmp_path).decide(before=AskedBefore(frozenset({"need"})))
    assert (decision.action_id, suppressed(decision)["ask_need"]) == ("tip", "already_asked")


def test_a_question_that_somebody_asked_meanwhile_is_not_asked_again(tmp_path: Path) -> None:
    decision = World(tmp_path).decide(meanwhile=AskedBefore(frozenset({"need"}), (None,)))
    assert (decision.action_id, suppressed(decision)["ask_need"]) == ("tip", "already_asked")
    assert facts_of(decision.as_dict()["counters"]).asked == AskedBefore(frozenset({"need"}), (None,))


def test_a_conversation_has_at_most_so_many_questions(tmp_path: Path) -> None:
    world = World(tmp_path)
    ends = to_us(NOON + timedelta(hours=3))
    decision = world.decide(before=AskedBefore(frozenset({"born"}), (ends,)))
    (kept_away,) = [one for one in decision.suppressed if one.action_id == "ask_need"]
    assert (decision.action_id, kept_away.rule) == ("tip", "enough_asked")
    assert kept_away.eligible_at == NOON + timedelta(hours=3)
    assert kept_away.counter == {"cap": "questions_per_conversation", "counted": 1, "at_most": 1}


def test_a_list_holds_no_more_questions_than_a_conversation_may(tmp_path: Path) -> None:
    decision = World(tmp_path).decide(limit=5)
    assert [slot.action_id for slot in decision.slots] == ["ask_need", "tip"]


def test_where_nothing_may_be_asked_no_question_is(tmp_path: Path) -> None:
    assert suppressed(World(tmp_path, questions_per_conversation=0).decide())["ask_need"] == "enough_asked"


def test_the_record_says_what_a_question_is_worth(tmp_path: Path) -> None:
    record = World(tmp_path).decide().as_dict()
    (asked,) = [one for one in record["candidates"] if one["action_id"] == "ask_need"]
    assert asked["worth"] == {
        "informed": 0.5 * 30.0 + 0.5 * 20.0,
        "uninformed": 10.0,
        "gain": GAIN,
        "decisions": 1.0,
        "cost": 1.0,
        "n_told": 0.0,
        "value": GAIN - 1.0,
    }


def test_what_was_thought_comes_back_as_it_was() -> None:
    about = {"need": About(Told(strength=50.0).likely("need", NEED, segment=None), 2.5, 7.0)}
    asking = Asking(frozenset({"likes"}), AskedBefore(frozenset({"born"}), (None, 5)), about)
    assert Asking.of_dict(asking.as_dict()) == asking


def test_an_intent_that_the_brand_does_not_know_has_an_answer_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, intents=("buy", "help"), off_script="soap")
    decision = world.decide(context=Context(intent="sing me a song"))
    assert (decision.action_id, decision.action_probability, decision.policy_name) == ("soap", 1.0, "off_script")
    assert decision.fallback_reason == "unknown_intent"
    assert world.decide(context=Context(intent="buy")).policy_name == "greedy"
    assert world.decide().policy_name == "greedy"


def test_a_brand_that_lists_no_intents_knows_them_all(tmp_path: Path) -> None:
    assert World(tmp_path, off_script="soap").decide(context=Context(intent="anything")).policy_name == "greedy"


def test_an_unnamed_conversation_ends_a_day_after_its_question() -> None:
    before = AskedBefore(frozenset({"a", "b"}), (10, 20))
    assert before.n_here(9) == 2
    assert before.n_here(10) == 1
    assert before.again_at_us(at_most=2) == 10
    assert before.again_at_us(at_most=1) == 20
    assert before.again_at_us(at_most=0) is None
    assert AskedBefore(frozenset({"a"}), (None,)).again_at_us(at_most=1) is None
