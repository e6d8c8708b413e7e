"""The response model against worlds whose truth is known: E[reward | x, action] of every customer and action."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.response.choosing import weights_of
from training.response.fitted import FittedResponse
from training.response.fitting import TooFewToLearnFrom, fit_response
from training.response.policy_value import Judge, shares_above
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

Floats = NDArray[np.float64]

INPUTS = ("age", "visits", "need", "tenure")
NEEDS = {"need": ("dry", "oily", "none")}


@dataclass(frozen=True)
class World:
    """Customers, and what each action is truly expected to bring of each."""

    X: NDArray[np.float32]
    truth: Floats

    def rows(self, *, seed: int, probabilities: Floats | None = None, noise: float = 1.0) -> ResponseRows:
        """One action each, drawn with these probabilities."""
        random = np.random.default_rng(seed)
        n, n_actions = self.truth.shape
        p = np.full((n, n_actions), 1 / n_actions) if probabilities is None else probabilities
        action = (random.uniform(size=(n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, n_actions - 1)
        return ResponseRows(
            X=self.X,
            action=action.astype(np.intp),
            reward=self.truth[np.arange(n), action] + random.normal(0, noise, n),
            propensity=p[np.arange(n), action],
            cluster=np.arange(n, dtype=np.int64),
            at=np.full(n, np.datetime64("2024-03-01", "us")),
            actions=(NOTHING, *(ActionFeatures(f"offer_{i}", incentive_cost=i) for i in range(1, n_actions))),
        )

    def earned_by(self, policy: NDArray[np.intp]) -> float:
        return float(self.truth[np.arange(len(policy)), policy].mean())


def customers(n: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 4))
    X[:, 1] = random.exponential(3.0, n)
    X[:, 2] = random.integers(0, 3, n)
    X[random.random(n) < 0.1, 3] = np.nan
    return X.astype(np.float32)


def a_world(effect: str, *, n: int = 4_000, seed: int = 0) -> World:
    X = customers(n, seed)
    anyway = 2.0 + 0.5 * X[:, 0] + 0.3 * np.log1p(X[:, 1])
    effects = {
        "same": np.full(n, 0.5),
        "none": np.zeros(n),
        "linear": 0.2 + 0.8 * np.nan_to_num(X[:, 3]),
        "tastes": np.where((X[:, 2] == 1) & (np.abs(X[:, 0]) < 1.0), 1.5, -0.7),
    }
    return World(X, np.column_stack([anyway, anyway + effects[effect]]).astype(np.float64))


def fitted(rows: ResponseRows, *, candidates: tuple[str, ...] | None = None) -> FittedResponse:
    return fit_response(rows, inputs=INPUTS, categories=NEEDS, seed=3, candidates=candidates)


def test_where_an_action_brings_everybody_the_same_no_heterogeneity_is_served_or_hardly_any() -> None:
    learners = []
    for seed in (1, 2, 3):
        world = a_world("same", n=1_500, seed=seed)
        fit = fitted(world.rows(seed=50 + seed))
        uplift = fit.uplift(world.X)[:, 1]
        learners.append(fit.learner)
        assert abs(float(uplift.mean()) - 0.5) < 3 * fit.uplifts["offer_1"].error
        assert float(uplift.std()) < 0.1
        if fit.learner == "same_for_all":
            assert np.ptp(uplift) == 0.0
            assert [group.moves for group in fit.groups] == [1]
    assert learners.count("same_for_all") >= 2


def test_a_straight_line_is_found_and_whom_an_offer_would_harm_is_left_alone() -> None:
    """In five draws: the mean of learners gives up 5% (± 3) of what a ridge regression finds of a line nearly whole."""
    world = a_world("linear")
    truth = world.truth[:, 1] - world.truth[:, 0]
    best, single = float(world.truth.max(axis=1).mean()), float(world.truth.mean(axis=0).max())
    likeness, gained = [], []
    for seed in (1, 2, 3, 4, 5):
        fit = fitted(world.rows(seed=seed))
        assert fit.learner in ("linear_dr", "linear_t", "together")
        assert {group.moves for group in fit.groups} >= {-1, 1}
        likeness.append(float(np.corrcoef(fit.uplift(world.X)[:, 1], truth)[0, 1]))
        gained.append((world.earned_by(fit.rewards(world.X).argmax(axis=1)) - single) / (best - single))
    assert np.mean(likeness) > 0.971 - 3 * 0.012 / np.sqrt(5)  # mean and deviation of 24 draws
    assert np.mean(gained) > 0.9
    assert min(gained) > 0.85


def test_tastes_that_no_line_can_say_are_found_by_trees() -> None:
    world, another = a_world("tastes", n=6_000), a_world("tastes", n=6_000, seed=9)
    fit = fitted(world.rows(seed=1, noise=0.7))
    assert fit.learner.startswith("trees")
    earned = another.earned_by(fit.rewards(another.X).argmax(axis=1))
    best, single = float(another.truth.max(axis=1).mean()), float(another.truth.mean(axis=0).max())
    assert earned > single + 0.8 * (best - single)


def of_an_outcome(amount: float, *, n: int, seed: int, suits: bool) -> World:
    """An outcome that an action makes likelier by as much in log-odds of everybody, or only of whose need it suits."""
    X = customers(n, seed)
    odds = -1.9 + 0.8 * X[:, 0] + 0.4 * np.log1p(X[:, 1])
    raised = odds + (np.where(X[:, 2] == 1, 1.2, 0.05) if suits else 0.7)
    return World(X, amount / (1.0 + np.exp(-np.column_stack([odds, raised]).astype(np.float64))))


def came(world: World, amount: float, *, seed: int) -> ResponseRows:
    rows, random = world.rows(seed=seed, noise=0.0), np.random.default_rng(seed + 1)
    happened = random.random(len(rows)) < rows.reward / amount
    return replace(rows, reward=np.where(happened, amount, 0.0).astype(np.float64))


@pytest.mark.parametrize("amount", [1.0, 40.0])
@pytest.mark.parametrize(("learner", "suits"), [("logistic_s", False), ("logistic_t", False), ("logistic_t", True)])
def test_an_action_that_adds_to_log_odds_is_found_in_money_by_logistic_regression(
    learner: str, amount: float, suits: bool
) -> None:
    world = of_an_outcome(amount, n=8_000, seed=3, suits=suits)
    fit = fitted(came(world, amount, seed=4), candidates=(learner,))
    truth = world.truth[:, 1] - world.truth[:, 0]
    said = fit.uplift(world.X)[:, 1]
    assert np.corrcoef(said, truth)[0, 1] > 0.95
    assert float(said.std()) == pytest.approx(float(truth.std()), rel=0.3)
    for action in (0, 1):
        assert np.corrcoef(fit.rewards(world.X)[:, action], world.truth[:, action])[0, 1] > 0.95


def test_logistic_learners_are_tried_where_mostly_nothing_happens_whatever_it_is_worth_and_never_of_losses() -> None:
    world = of_an_outcome(5.0, n=600, seed=3, suits=False)
    outcome = came(world, 5.0, seed=4)
    spend = replace(outcome, reward=outcome.reward * np.linspace(0.5, 1.5, len(outcome)))
    returned = replace(spend, reward=np.where(np.arange(len(spend)) == 7, -3.0, spend.reward))
    always = replace(spend, reward=spend.reward + np.linspace(1.0, 2.0, len(spend)))
    kinds = ("logistic_s", "logistic_t")
    told = [[one.name for one in fitted(rows).tried] for rows in (outcome, spend, returned, always)]
    assert [[name for name in tried if name in kinds] for tried in told] == [list(kinds), list(kinds), [], []]
    alone = fitted(spend, candidates=("logistic_t",))  # as a model is taught anew whose older rows chose it
    assert np.corrcoef(alone.rewards(world.X)[:, 1], world.truth[:, 1])[0, 1] > 0.8


def test_a_member_of_the_mean_weighs_as_much_as_others_bear_its_differences_out() -> None:
    world = a_world("linear", n=2_000)
    fit = fitted(world.rows(seed=1))
    truth = (world.truth[:, 1] - world.truth[:, 0])[:, np.newaxis]
    said = {"right": truth, "shuffled": np.random.default_rng(1).permutation(truth)}
    weights = weights_of(said, fit.judge.effects(), fit.judge)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["right"] > 0.85
    tried = {one.name: one.weights for one in fit.tried if one.weights}
    assert list(tried) == ["together"]
    assert sum(tried["together"].values()) == pytest.approx(1.0)


def test_of_rare_outcomes_that_a_message_makes_likelier_alike_those_who_are_likelier_anyway_are_ranked_first() -> None:
    """Some 150 positives are too few to choose among ten learners by: the choice by score alone took any of them."""
    found = []
    for seed in (1, 2, 3):
        X = customers(5_000, seed)
        odds = -5.0 + 1.0 * X[:, 0] + 0.5 * np.log1p(X[:, 1])
        world = World(X, 1.0 / (1.0 + np.exp(-np.column_stack([odds, odds + 0.6]).astype(np.float64))))
        fit = fitted(came(world, 1.0, seed=seed + 1))
        truth = world.truth[:, 1] - world.truth[:, 0]
        found.append(float(np.corrcoef(fit.uplift(world.X)[:, 1], truth)[0, 1]))
    assert np.mean(found) > 0.7


def test_where_a_message_changes_nothing_everybody_or_nobody_gets_it_and_that_is_said() -> None:
    alike = []
    for seed in (1, 2, 3):
        world = of_an_outcome(1.0, n=3_000, seed=seed, suits=False)
        fit = fitted(came(World(world.X, world.truth[:, [0, 0]]), 1.0, seed=seed + 10))
        if fit.learner == "logistic_s":
            alike.append(float((fit.uplift(world.X)[:, 1] > 0.0).mean()))
            assert "No difference between customers was found" in fit.why
    assert len(alike) >= 2
    assert set(alike) <= {0.0, 1.0}


def test_an_action_of_which_nothing_came_or_everything_leaves_logistic_learners_finite() -> None:
    world = of_an_outcome(1.0, n=600, seed=3, suits=True)
    rows = came(world, 1.0, seed=4)
    for all_of_it in (0.0, 1.0):
        sure = replace(rows, reward=np.where(rows.action == 1, all_of_it, rows.reward))
        said = fitted(sure, candidates=("logistic_s", "logistic_t")).rewards(world.X)
        assert np.isfinite(said).all()
        assert float(said[:, 1].mean()) == pytest.approx(all_of_it, abs=0.05)


def test_the_expected_reward_without_an_action_is_right_too() -> None:
    world = a_world("linear")
    said = fitted(world.rows(seed=1)).rewards(world.X)
    for action in (0, 1):
        assert abs(float((said[:, action] - world.truth[:, action]).mean())) < 0.1
        assert np.corrcoef(said[:, action], world.truth[:, action])[0, 1] > 0.9


def test_unequal_propensities_are_weighed_so_that_a_targeted_offer_is_not_credited_with_its_audience() -> None:
    world = a_world("same", n=6_000)
    offered = np.clip(0.5 + 0.35 * np.tanh(1.5 * world.X[:, 0].astype(np.float64)), 0.1, 0.9)
    rows = world.rows(seed=2, probabilities=np.column_stack([1 - offered, offered]))
    naive = rows.reward[rows.action == 1].mean() - rows.reward[rows.action == 0].mean()
    uplift = fitted(rows, candidates=("same_for_all", "linear_dr")).uplifts["offer_1"]
    assert naive - 0.5 > 0.3
    assert uplift.low < 0.5 < uplift.high


def test_of_several_actions_everybody_gets_the_one_that_suits_them() -> None:
    X = customers(6_000, seed=4)
    sign = X[:, 0].astype(np.float64)
    truth = np.column_stack([np.zeros(len(X)), 0.9 * sign, -0.9 * sign, np.full(len(X), -0.3)])
    world = World(X, truth + 1.0)
    fit = fitted(world.rows(seed=5))
    policy = fit.rewards(X).argmax(axis=1)
    assert fit.learner != "same_for_all"
    assert world.earned_by(policy) > float(world.truth.max(axis=1).mean()) - 0.07
    assert not (policy == 3).any()


def test_policy_values_cover_the_truth_as_often_as_their_intervals_say() -> None:
    covered = 0
    for seed in range(12):
        world = a_world("linear", n=600, seed=seed)
        rows = world.rows(seed=100 + seed)
        fit = fitted(rows, candidates=("same_for_all", "linear_dr"))
        value = fit.values["model"]
        covered += value.low <= world.earned_by(fit.judge.best(fit.effects)) <= value.high
    assert covered >= 9  # of 12; fewer with a probability of 0.0002


def test_rows_of_one_customer_do_not_count_as_many_customers() -> None:
    world = a_world("linear", n=1_000)
    rows = world.rows(seed=1)
    four = rows.taken(np.tile(np.arange(1_000), 4).astype(np.intp))
    alone, together = (fitted(one, candidates=("same_for_all",)).uplifts["offer_1"].error for one in (rows, four))
    assert together == pytest.approx(alone, rel=0.1)


def test_the_same_rows_and_seed_give_the_same_model_to_the_last_digit() -> None:
    rows = a_world("tastes", n=800).rows(seed=1)
    one, again = fitted(rows), fitted(rows)
    assert one.describe() == again.describe()
    assert one.boosters == again.boosters


def test_an_action_that_hardly_anybody_got_is_not_spoken_of() -> None:
    world = a_world("same", n=1_000)
    rows = world.rows(seed=1)
    rare = np.where(np.arange(1_000) < 20, 2, rows.action).astype(np.intp)
    fit = fitted(
        replace(rows, action=rare, actions=(*rows.actions, ActionFeatures("rare"))), candidates=("same_for_all",)
    )
    assert [action.action_id for action in fit.actions] == ["nothing", "offer_1"]
    assert fit.left_out == {"of 'rare', too few": 20}


def test_too_few_customers_are_refused_with_how_many_there_are() -> None:
    rows = a_world("same", n=90).rows(seed=1)
    with pytest.raises(TooFewToLearnFrom, match="At least 50 of"):
        fitted(rows.taken(np.flatnonzero((rows.action == 0) | (np.arange(90) < 20)).astype(np.intp)))


def test_a_policys_value_is_the_weighted_mean_that_can_be_written_down() -> None:
    judge = Judge(
        m=np.zeros(4),
        d=np.zeros((4, 2)),
        left=np.array([1.0, 2.0, 3.0, 4.0]),
        action=np.array([0, 1, 0, 1], dtype=np.intp),
        propensity=np.array([0.5, 0.25, 0.5, 0.8]),
        customers=np.arange(4, dtype=np.intp),
    )
    treat_all = judge.value(np.ones(4, dtype=np.intp))
    assert treat_all.value == pytest.approx((2.0 / 0.25 + 4.0 / 0.8) / 4)


def test_customers_whom_a_ranking_holds_for_equal_share_their_place() -> None:
    assert shares_above(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [1 / 4, 3.5 / 4, 1 / 4, 2.5 / 4]
