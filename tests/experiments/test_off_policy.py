"""Off-policy estimates beside a truth that a human can see, and the reasons for which there is none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from experiments.metrics import Estimate, NotEstimable
from experiments.off_policy import LoggedDecision, estimate_change

RATES = {"a": 0.10, "b": 0.20}
MARGIN = 100.0
SEEDS = 120
LOGGED = {"a": 0.8, "b": 0.2}
CANDIDATE = {"a": 0.3, "b": 0.7}
TRUE_CHANGE = MARGIN * ((0.3 - 0.8) * 0.10 + (0.7 - 0.2) * 0.20)  # 5.0


def a_log(
    rng: np.random.Generator,
    *,
    n_customers: int = 400,
    each: int = 2,
    logged: Mapping[str, float] = LOGGED,
    candidate: Mapping[str, float] = CANDIDATE,
    drawn_by: Mapping[str, float] | None = None,
) -> list[LoggedDecision]:
    """Decisions of customers who are half as, or one and a half times as, likely to buy as the next."""
    drawn = drawn_by or logged
    decisions = []
    for customer in range(n_customers):
        keenness = 0.5 if customer % 2 else 1.5
        for _ in range(each):
            action = str(rng.choice(list(drawn), p=list(drawn.values())))
            reward = MARGIN * float(rng.random() < keenness * RATES[action])
            decisions.append(LoggedDecision(customer, f"cell{customer % 2}", action, reward, reward, logged, candidate))
    return decisions


def test_the_intervals_hold_the_true_change_as_often_as_they_say() -> None:
    logs = [estimate_change(a_log(np.random.default_rng(seed))) for seed in range(SEEDS)]
    for told in ([change.ips for change in logs], [change.snips for change in logs], [change.dr for change in logs]):
        estimates = [one for one in told if isinstance(one, Estimate)]
        assert len(estimates) == SEEDS
        assert np.mean([one.low <= TRUE_CHANGE <= one.high for one in estimates]) >= 0.90
        values = [one.value for one in estimates]
        assert np.mean(values) == pytest.approx(TRUE_CHANGE, abs=4 * np.std(values) / np.sqrt(SEEDS))


def test_a_candidate_that_does_the_same_changes_nothing_at_all() -> None:
    told = estimate_change(a_log(np.random.default_rng(0), candidate=LOGGED))
    assert told.effective_n == pytest.approx(told.n_decisions)
    for estimate in (told.ips, told.snips, told.dr):
        assert isinstance(estimate, Estimate)
        assert estimate.value == pytest.approx(0.0, abs=1e-9)


def test_ips_and_snips_are_the_sums_of_their_formulas() -> None:
    log = a_log(np.random.default_rng(3))
    told = estimate_change(log)
    weights = np.array([one.candidate[one.action] / one.logged[one.action] for one in log])
    rewards = np.array([one.reward for one in log])
    assert isinstance(told.ips, Estimate)
    assert isinstance(told.snips, Estimate)
    assert told.ips.value == pytest.approx((weights * rewards).mean() - rewards.mean())
    assert told.snips.value == pytest.approx((weights * rewards).sum() / weights.sum() - rewards.mean())
    assert told.effective_n == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_dearer_incentive_costs_what_it_costs_more() -> None:
    log = [
        LoggedDecision(i, "cell", "a", 100.0, 80.0, {"a": 1.0}, {"a": 1.0}) for i in range(200)
    ]  # the same action at 20 more
    told = estimate_change(log)
    assert isinstance(told.snips, Estimate)
    assert told.snips.value == pytest.approx(80.0 - 100.0)


def test_decisions_of_one_customer_are_not_independent_of_each_other() -> None:
    rng = np.random.default_rng(5)
    alone = a_log(rng, n_customers=400, each=1)
    ten_times = [one for one in alone for _ in range(10)]
    once, repeated = estimate_change(alone).ips, estimate_change(ten_times).ips
    assert isinstance(once, Estimate)
    assert isinstance(repeated, Estimate)
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low)


def test_what_was_never_tried_is_refused_by_name() -> None:
    told = estimate_change(a_log(np.random.default_rng(0), candidate={"a": 0.5, "new": 0.5}))
    assert isinstance(told.snips, NotEstimable)
    assert told.snips.code == "untried"
    assert "'new' (50.0%)" in told.snips.reason
    assert told.untried == {"new": pytest.approx(0.5)}


def test_probabilities_that_are_not_those_of_the_draw_are_found_out() -> None:
    told = estimate_change(a_log(np.random.default_rng(0), drawn_by={"a": 0.3, "b": 0.7}))
    assert isinstance(told.dr, NotEstimable)
    assert told.dr.code == "probabilities_do_not_match"


def test_a_log_that_is_worth_too_few_decisions_is_refused() -> None:
    log = a_log(np.random.default_rng(0), n_customers=150, each=1, logged={"a": 0.95, "b": 0.05}, candidate={"b": 1.0})
    told = estimate_change(log)
    assert isinstance(told.ips, NotEstimable)
    assert told.ips.code == "too_few_effective"


def test_few_customers_or_few_orders_give_no_number() -> None:
    few = estimate_change(a_log(np.random.default_rng(0), n_customers=10)).snips
    poor = estimate_change([LoggedDecision(i, "c", "a", 0.0, 0.0, LOGGED, CANDIDATE) for i in range(300)]).snips
    empty = estimate_change([]).snips
    assert isinstance(few, NotEstimable)
    assert isinstance(poor, NotEstimable)
    assert isinstance(empty, NotEstimable)
    assert (few.code, poor.code, empty.code) == ("too_few_customers", "too_few_rewards", "no_decisions")
