from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from features.brand import Brand
from features.catalogue import NOTHING, Action, Rendering
from features.packing import CustomerState, Missing
from features.schema import FeatureSchema, feature_schema
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from serving.compose import Composer, Decided, Inputs
from serving.contact.facts import Facts
from serving.contact.rules import ContactRules
from serving.decide import settle
from serving.models import ServedModels
from serving.schemas import Context, DecisionRequest
from serving.scoring import Customer, score_customers
from serving.shelf import Shelf
from serving.values import Rates, prior_rates
from tests.serving.tiny_world import COUPON, NOON, PERSONAL, TIP, a_brand, a_catalogue, a_state, an_action


class World:
    """One brand and catalogue, without a store or a model."""

    def __init__(self, folder: Path, *actions: Action, brand: Brand | None = None) -> None:
        self.brand = brand or a_brand()
        self.catalogue = a_catalogue(*actions)
        workspace = Workspace(folder)
        self.schema: FeatureSchema = feature_schema(self.brand, workspace)
        variables = variables_of(self.brand, feature_variables(self.brand, workspace))
        shelf = Shelf(self.brand, self.catalogue, variables=variables)
        self.composer = Composer(self.brand, self.schema, shelf)
        self.rules = ContactRules(self.brand, self.catalogue)
        self.rates = Rates([], priors=prior_rates(self.brand, self.catalogue), strength=50.0)

    def decide(
        self,
        *,
        placement: str = "reply",
        channel: str = "web",
        locale: str | None = "en",
        state: CustomerState | Missing | None = None,
        context: Context | None = None,
        propensity: float | None = None,
        segment: str | None = None,
        draw: float = 0.5,
    ) -> Decided:
        request = DecisionRequest(
            customer_id="c", placement=placement, channel=channel, locale=locale, context=context or Context()
        )
        customer = Customer(1, state or Missing("unknown_customer"), request.context.traits)
        (scored,) = score_customers([customer], models=ServedModels(), schema=self.schema, brand=self.brand, at=NOON)
        scores = with_fields(scored.scores, segment=segment, purchase_propensity=propensity)
        inputs = Inputs(decision_ids=("d",), at=NOON, draws=(draw,), rates=self.rates, versions={})
        scored = with_fields(scored, scores=scores)
        (prepared,) = self.composer.prepare(request, scored, inputs)
        return Decided(settle(prepared, Facts(terms=self.rules.terms), self.rules), scored)


def suppressed(decided: Decided) -> dict[str, str]:
    return {one.action_id: one.rule for one in decided.decision.suppressed}


def candidates(decided: Decided) -> set[str]:
    return {valuation.action_id for _, valuation in decided.decision.candidates}


def test_two_customers_of_one_segment_who_differ_in_propensity_get_different_actions(tmp_path: Path) -> None:
    world = World(tmp_path)
    unlikely = world.decide(segment="s1", propensity=0.05)  # coupon: 0.2 x 100 - 30 x 0.20 = 14, tip: 0.1 x 100 = 10
    likely = world.decide(segment="s1", propensity=0.60)  # coupon: 0.2 x 100 - 30 x 0.60 = 2, tip: 10
    assert unlikely.decision.action_id == "coupon"
    assert likely.decision.action_id == "tip"


def test_an_action_before_its_time_says_when_it_may_be_offered(tmp_path: Path) -> None:
    later = NOON + timedelta(days=3)
    world = World(tmp_path, TIP, an_action("festival", valid_from=later))
    (one,) = world.decide().decision.suppressed
    assert (one.action_id, one.rule, one.eligible_at) == ("festival", "not_yet_valid", later)


def test_an_action_is_over_at_the_instant_its_validity_ends(tmp_path: Path) -> None:
    assert suppressed(World(tmp_path, TIP, an_action("festival", valid_until=NOON)).decide()) == {"festival": "expired"}


def test_a_rule_that_does_not_hold_suppresses_and_one_that_needs_the_unknown_says_so(tmp_path: Path) -> None:
    world = World(tmp_path, TIP, an_action("second", when="n_orders == 1.0"))
    assert suppressed(world.decide()) == {"second": "when_unknown"}
    assert suppressed(world.decide(state=a_state(world.schema, n_orders=3))) == {"second": "when"}
    assert suppressed(world.decide(state=a_state(world.schema, n_orders=1))) == {}


def test_what_the_caller_tells_takes_effect_in_this_very_decision(tmp_path: Path) -> None:
    world = World(tmp_path, PERSONAL, TIP)
    assert suppressed(world.decide()) == {"personal": "not_renderable"}
    told = world.decide(context=Context(traits={"need": "dry"}), draw=0.0)
    assert candidates(told) == {"personal", "tip"}
    assert told.message is not None
    assert told.message.body == "For your dry skin."


def test_no_features_of_a_stale_row_reach_a_rule_but_the_stage_does(tmp_path: Path) -> None:
    world = World(tmp_path, TIP, an_action("second", when="n_orders == 1.0"))
    decided = world.decide(state=a_state(world.schema, days_old=30, n_orders=1))
    assert decided.decision.fallback_reason == "features_stale"
    assert suppressed(decided) == {"second": "when_unknown"}
    assert decided.decision.scores.stage == "conversion"


def test_without_consent_the_brand_says_nothing_by_mail(tmp_path: Path) -> None:
    world = World(tmp_path)
    decided = world.decide(placement="weekly", channel="mail", state=a_state(world.schema))
    assert suppressed(decided) == {"tip": "no_consent", "coupon": "no_consent"}
    assert decided.decision.action_id == NOTHING
    assert decided.message is None


def test_with_consent_it_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    decided = world.decide(placement="weekly", channel="mail", state=a_state(world.schema, consents=("mail",)))
    assert candidates(decided) == {"tip", "coupon", NOTHING}


def test_a_customer_who_asks_without_consent_gets_the_fallback_only(tmp_path: Path) -> None:
    decided = World(tmp_path).decide(channel="mail")
    assert (decided.decision.action_id, decided.decision.policy_name) == ("tip", "fallback")
    assert decided.message is not None


def test_outside_the_session_window_only_a_template_may_be_sent(tmp_path: Path) -> None:
    world = World(tmp_path, PERSONAL, TIP)
    told = Context(traits={"need": "dry"})
    closed = world.decide(placement="weekly", channel="chat", context=told)
    assert suppressed(closed) == {"tip": "not_renderable"}
    assert closed.message is not None
    assert closed.message.template is not None
    opened = world.decide(placement="weekly", channel="chat", context=told.model_copy(update={"session_open": True}))
    assert suppressed(opened) == {}


def test_a_customer_who_writes_has_opened_the_session(tmp_path: Path) -> None:
    assert suppressed(World(tmp_path, PERSONAL, TIP).decide(channel="chat")) == {"personal": "not_renderable"}


def test_nothing_competes_only_where_the_brand_speaks_first(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert NOTHING not in candidates(world.decide())
    assert NOTHING in candidates(world.decide(placement="weekly", channel="chat", context=Context(session_open=True)))


def test_silence_wins_where_every_message_costs_more_than_it_brings(tmp_path: Path) -> None:
    world = World(tmp_path, an_action("tip", expected_rate=0.001, value=10.0))
    decided = world.decide(placement="weekly", channel="chat", context=Context(session_open=True))
    assert decided.decision.action_id == NOTHING  # tip: 0.001 x 10 - 1 = -0.99


def test_a_locale_that_an_action_lacks_falls_back_and_the_message_says_so(tmp_path: Path) -> None:
    tip = an_action("tip", renderings={"en": Rendering(body="A tip."), "hi": Rendering(body="एक सुझाव।")})
    world = World(tmp_path, tip, COUPON)
    decided = world.decide(locale="hi-IN", propensity=0.9)
    assert decided.message is not None
    assert (decided.message.locale, decided.message.body) == ("hi", "एक सुझाव।")


def test_the_customers_own_locale_is_used_where_none_is_asked_for(tmp_path: Path) -> None:
    tip = an_action("tip", renderings={"en": Rendering(body="A tip."), "hi": Rendering(body="एक सुझाव।")})
    world = World(tmp_path, tip, COUPON)
    decided = world.decide(locale=None, propensity=0.9, state=replace(a_state(world.schema), locale="hi"))
    assert decided.message is not None
    assert decided.message.locale == "hi"


@pytest.mark.parametrize("draws", [(0.0, 0.49, 0.51, 0.99)])
def test_nothing_after_the_draw_changes_the_action(tmp_path: Path, draws: Sequence[float]) -> None:
    world = World(tmp_path, brand=a_brand(policy=a_brand().policy.model_copy(update={"name": "uniform"})))
    for draw in draws:
        decision = world.decide(draw=draw).decision
        assert decision.action_id == decision.distribution.take(draw)
        assert decision.action_probability == 0.5
