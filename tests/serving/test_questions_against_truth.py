"""What the engine holds a question to be worth, against the simulator, which knows what knowing would really earn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from experiments.simulator import kinds as k
from experiments.simulator.history import Plan, simulate_batches
from experiments.simulator.world import World
from features.brand import Brand, Placement, load_brand
from features.catalogue import Action, Catalogue, Incentive
from features.packing import Missing
from features.schema import FeatureSchema, feature_schema
from features.starting import write_starter
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from serving.compose import Composer, Inputs
from serving.models import ModelDoor, ServedModels
from serving.next_question.asking import About, Asking, imagine
from serving.next_question.likely import Told, ToldCount
from serving.schemas import DecisionRequest
from serving.scoring import Customer, score_customers
from serving.shelf import Shelf
from serving.values import ActionCount, Rates, prior_rates
from tests.serving.tiny_models import promote
from tests.serving.tiny_world import an_action
from training.artifact import SEGMENTS

ASKED = ("price_preference", "skin_need", "life_stage")
COSTS = {"welcome_hook": 0.0, "skin_quiz": 0.0, "curated_set": 0.0, "first_order_coupon": 150.0, "bestsellers": 0.0}
ORDER_VALUE = 480.0
OFTEN = 200  # the log is as long as if everybody had got every action so often: chance is out of it
UNDECLARED = 0.3

Numbers = npt.NDArray[np.float64]


@dataclass
class Truth:
    """Customers who have not ordered yet, with what every action would really earn of each."""

    tier: Numbers  # what they really buy
    traits: dict[str, Numbers]  # index of the choice
    probability: dict[str, Numbers]  # P(order within 7 days | action)

    def gain(self, trait: str) -> float:
        """What it earns a decision to know the trait: the best action a value, against one for all."""
        earned = np.array([p * (ORDER_VALUE - COSTS[action]) for action, p in self.probability.items()])
        values = self.traits[trait]
        knowing = sum((values == one).mean() * earned[:, values == one].mean(axis=1).max() for one in np.unique(values))
        return float(knowing - earned.mean(axis=1).max())


@pytest.fixture(scope="module")
def truth() -> Truth:
    plan = Plan(4_000, 200, 5, dt.date(2026, 3, 1))
    world = World.at_the_end(plan, list(simulate_batches(plan)))
    people = world.population
    new = np.flatnonzero(world.state.n_orders == 0)
    ids = [str(name) for name in np.array(world.customer_ids.to_pylist())[new]]
    latent = {"price_preference": people.tier, "skin_need": people.skin_need, "life_stage": people.life_stage}
    return Truth(
        tier=people.tier[new].astype(np.float64),
        traits={name: latent[name][new].astype(np.float64) for name in ASKED},
        probability={action: world.order_probability(ids, action, world.now) for action in COSTS},
    )


@dataclass
class Shop:
    """The shipped brand, which asks for three traits, with a segment model and a ledger that the truth has made."""

    brand: Brand
    schema: FeatureSchema
    composer: Composer
    models: ServedModels
    rates: Rates
    told: Told

    def worths(self) -> dict[str, float]:
        """What knowing each answer is held to add to one decision for somebody of whom nothing is known."""
        request = DecisionRequest(customer_id="new", placement="chat_reply", channel="line")
        customer, at = Customer(1, Missing("unknown_customer")), dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        (scored,) = score_customers([customer], models=self.models, schema=self.schema, brand=self.brand, at=at)
        about = {
            name: About(self.told.likely(name, self.brand.traits[name], segment=None), OFTEN, self.told.n_told(name))
            for name in ASKED
        }
        asking = imagine(Asking(about=about), customer, models=self.models, schema=self.schema, brand=self.brand, at=at)
        inputs = Inputs(("d",), at, (0.5,), self.rates, {}, asking=asking)
        (prepared,) = self.composer.prepare(request, scored, inputs)
        worths = dict.fromkeys(ASKED, 0.0)
        for offer in prepared.offers:
            if offer.action.asks is not None and offer.valuation.worth is not None:
                worths[offer.action.asks] = offer.valuation.worth.gain
        return worths


@pytest.fixture(scope="module")
def shop(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    workspace = Workspace(tmp_path_factory.mktemp("asking") / "shop")
    write_starter(workspace.root)
    brand = _asking(load_brand(workspace))
    schema = feature_schema(brand, workspace)
    X = np.column_stack([truth.traits[name] for name in ASKED])
    X[np.random.default_rng(3).random(X.shape) < UNDECLARED] = np.nan
    models = _segments(workspace, schema, X, truth.tier)
    assert models.segments is not None
    assigned = [models.segments.segment_ids[best] for best in _predicted(models, schema, X).argmax(axis=1)]
    catalogue = Catalogue(actions=tuple(_action(name, cost) for name, cost in COSTS.items()))
    variables = variables_of(brand, feature_variables(brand, workspace))
    return Shop(
        brand=brand,
        schema=schema,
        composer=Composer(brand, schema, Shelf(brand, catalogue, variables=variables)),
        models=models,
        rates=Rates(_counts(truth, assigned), priors=prior_rates(brand, catalogue), strength=50.0),
        told=Told(_said(brand, X, assigned), strength=50.0),
    )


def _asking(brand: Brand) -> Brand:
    asks = Placement(
        initiated_by="customer", channels=("line",), baseline="bestsellers", fallback="bestsellers", questions=ASKED
    )
    return brand.model_copy(update={"placements": {"chat_reply": asks}})


def _action(name: str, cost: float) -> Action:
    incentive = Incentive(kind="amount", value=cost, cost=cost) if cost else None
    return an_action(
        name, channels=("line",), placements=("chat_reply",), value=ORDER_VALUE, incentive=incentive, expected_rate=0.08
    )


def _segments(workspace: Workspace, schema: FeatureSchema, X: Numbers, tier: Numbers) -> ServedModels:
    """A segment for each price band that customers really buy in, assigned from what they have declared."""
    parameters = {"objective": "multiclass", "num_class": len(k.PRICE_PREFERENCES), "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(
        parameters | {"min_data_in_leaf": 100, "learning_rate": 0.05}, lightgbm.Dataset(X, tier), num_boost_round=60
    )
    names = [{"id": name, "names": {"en": name}, "descriptions": {"en": name}} for name in k.PRICE_PREFERENCES]
    inputs = [f"trait_{name}" for name in ASKED]
    described: dict[str, object] = {"name": SEGMENTS, "as_of": "2026-03-01", "inputs": inputs, "categories": {}}
    described |= {"schema_version": schema.version, "segments": names, "temperature": 1.0}
    promote(workspace.artifacts, described, [booster.model_to_string()])
    return ModelDoor(workspace.artifacts, schema).served


def _predicted(models: ServedModels, schema: FeatureSchema, X: Numbers) -> Numbers:
    inputs = np.full((len(X), len(schema.model_inputs)), np.nan, dtype=np.float32)
    for column, name in enumerate(ASKED):
        inputs[:, schema.model_inputs.index(f"trait_{name}")] = X[:, column]
    assert models.segments is not None
    return np.asarray(models.segments.predict(inputs))


def _counts(truth: Truth, assigned: list[str]) -> list[ActionCount]:
    segments = np.array(assigned)
    return [
        ActionCount(segment, "awareness", action, OFTEN * float((segments == segment).sum()), converted)
        for segment in sorted(set(assigned))
        for action, probability in truth.probability.items()
        for converted in (round(OFTEN * float(probability[segments == segment].sum())),)
    ]


def _said(brand: Brand, X: Numbers, assigned: list[str]) -> list[ToldCount]:
    return [
        ToldCount(name, segment, brand.traits[name].choices[int(said)], 1.0)
        for column, name in enumerate(ASKED)
        for segment, said in zip(assigned, X[:, column], strict=True)
        if not np.isnan(said)
    ]


def test_the_simulator_says_that_of_these_only_the_price_preference_matters(truth: Truth) -> None:
    assert truth.gain("price_preference") > 0.5
    assert truth.gain("skin_need") == pytest.approx(0.0, abs=1e-9)
    assert truth.gain("life_stage") == pytest.approx(0.0, abs=1e-9)


def test_the_question_that_really_earns_most_is_held_to_be_worth_most(shop: Shop) -> None:
    worths = shop.worths()
    assert max(worths, key=lambda name: worths[name]) == "price_preference"


def test_a_worth_is_near_the_truth(shop: Shop, truth: Truth) -> None:
    worths = shop.worths()
    assert worths["price_preference"] == pytest.approx(truth.gain("price_preference"), rel=0.35)
    for name in ("skin_need", "life_stage"):
        assert worths[name] < 0.1 * truth.gain("price_preference")
