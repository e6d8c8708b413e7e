"""The gate of a response model, on decisions whose truth a human can see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from training.response.actions import NOTHING, ActionFeatures
from training.response.choosing import SAME_FOR_ALL
from training.response.gate import better, checks_of, figures_of
from training.response.in_use import InUse
from training.response.on_a_later_window import Policies, spoken, windows_of
from training.response.policy_value import Estimate
from training.response.rows import ResponseRows
from training.split import TooLittleData

ACTIONS = (NOTHING, ActionFeatures("tip"), ActionFeatures("coupon", kind="offer"))
TRUTH = np.array([[10.0, 10.0, 20.0], [20.0, 20.0, 10.0]])  # by kind of customer: the coupon suits the first only
PRICE = 1.0


def rows(n: int = 3_000, *, seed: int = 0, days: float = 30.0) -> ResponseRows:
    rng = np.random.default_rng(seed)
    kind, action = rng.integers(0, 2, n), rng.integers(0, 3, n)
    at = np.sort(rng.uniform(0, days, n) * 86_400e6).astype(np.int64)
    return ResponseRows(
        X=kind[:, None].astype(np.float32),
        action=action,
        reward=TRUTH[kind, action] + rng.normal(scale=10.0, size=n),
        propensity=np.full(n, 1 / 3),
        cluster=rng.integers(0, n // 3, n),
        at=at.astype("datetime64[us]"),
        actions=ACTIONS,
    )


def held(of: ResponseRows, *, best: int = 1) -> InUse:
    """The rates hold one action for the best for everybody."""
    by_rate = np.zeros((len(of), 3))
    by_rate[:, best] = 5.0
    return InUse(by_rate, np.tile([0.0, PRICE, PRICE], (len(of), 1)))


def true_rewards(X: NDArray[np.float32], actions: Sequence[ActionFeatures]) -> NDArray[np.float64]:
    places = [ACTIONS.index(action) for action in actions]
    return np.asarray(TRUTH[X[:, 0].astype(int)][:, places])


def passed(policies: Policies, *, learner: str = "linear_t") -> dict[str, bool]:
    checks = checks_of(policies, learner=learner, best_single="nothing", currency="EUR")
    return {check.question: check.passed for check in checks}


def test_a_model_that_knows_whom_the_coupon_suits_passes() -> None:
    of = rows()
    policies = Policies.of(of, held(of), true_rewards)
    assert all(passed(policies).values()), passed(policies)
    told = figures_of(policies, best_single="nothing")
    assert told["model"]["value"] == pytest.approx(np.mean([20.0 - PRICE, 20.0]), abs=4 * told["model"]["error"])
    assert told["rates"]["value"] == pytest.approx(np.mean([10.0, 20.0]) - PRICE, abs=4 * told["rates"]["error"])
    assert told["gain_on_rates"]["value"] == pytest.approx(5.5, abs=4 * told["gain_on_rates"]["error"])
    assert told["promised_on_rates"] == pytest.approx(5.5, abs=0.3)
    assert told["effective_n"] == pytest.approx(len(of) / 3, rel=0.1)


def test_a_model_that_has_it_the_wrong_way_round_is_refused() -> None:
    of = rows()
    told = passed(Policies.of(of, held(of), lambda X, actions: true_rewards(1 - X, actions)))
    assert not told["earns more than the rates' policy"]
    assert not told["keeps what it promises"]


def test_a_model_of_noise_is_refused_however_much_it_promises() -> None:
    of, rng = rows(600), np.random.default_rng(5)
    noise = rng.normal(scale=30.0, size=(600, 3))
    told = passed(Policies.of(of, held(of), lambda X, actions: 15.0 + noise))
    assert not told["earns more than the rates' policy"]
    assert not told["keeps what it promises"]
    assert not told["calibrated"]


def test_what_the_rates_do_already_is_no_gain() -> None:
    of = rows()
    told = passed(Policies.of(of, held(of), lambda X, actions: np.tile([10.0, 30.0, 10.0], (len(X), 1))))
    assert not told["earns more than the rates' policy"]


def test_one_action_for_everybody_need_not_beat_itself() -> None:
    of = rows()
    policies = Policies.of(of, held(of, best=2), lambda X, actions: np.tile([15.0, 15.0, 15.0], (len(X), 1)))
    assert passed(policies, learner=SAME_FOR_ALL)["earns more than 'nothing' for everybody"]
    assert not passed(policies)["earns more than 'nothing' for everybody"]


def test_a_small_log_cannot_judge() -> None:
    of = rows(90)
    assert not passed(Policies.of(of, held(of), true_rewards))["the log can judge it"]


def test_no_policy_takes_what_was_no_candidate_or_could_not_be_drawn() -> None:
    of = rows(300)
    in_use = held(of)
    in_use.by_rate[::2, 2] = np.nan
    policies = Policies.of(of, in_use, lambda X, actions: np.tile([0.0, 1.0, 100.0], (len(X), 1)))
    taken = policies.by_model()
    assert (taken[1::2] == 2).all()
    others = ~((of.action == 2)[::2] & ~policies.may[::2, :2].any(axis=1))
    assert (taken[::2][others] != 2).all()


def test_what_is_not_spoken_of_is_judged_on_the_scale_on_which_decisions_value_it() -> None:
    of = rows(300)
    in_use = held(of)  # by their rates, prices taken off: silence 0, tip 5, coupon 0
    for silence in (0.0, 1_000.0):

        def of_silence_and_tip(X: NDArray[np.float32], actions: Sequence[ActionFeatures]) -> NDArray[np.float64]:
            return np.tile([silence, silence + 3.0 + PRICE, np.nan], (len(X), 1))  # noqa: B023

        policies = Policies.of(of, in_use, of_silence_and_tip)
        assert (policies.by_model() == 1).all()  # coupon: 0 + (3 - 5) = -2
        in_use.by_rate[:, 2] = 6.0
        assert (policies.by_model() == 2).all()  # 6 + (3 - 5) = 4 beside 3
        in_use.by_rate[:, 2] = 0.0


def test_where_silence_competes_and_is_not_spoken_of_the_rates_decide() -> None:
    of = rows(300)
    in_use = held(of)
    in_use.by_rate[::2, 0] = np.nan  # the customer waits for an answer: silence is no candidate

    def without_silence(X: NDArray[np.float32], actions: Sequence[ActionFeatures]) -> NDArray[np.float64]:
        return np.tile([np.nan, 1.0, 100.0], (len(X), 1))

    said = spoken(without_silence, of, in_use)
    assert np.isnan(said[1::2]).all()
    assert (said[::2, 2] == 100.0).all()
    taken = Policies.of(of, in_use, without_silence).by_model()
    assert (taken[1::2] == 1).all()
    assert (taken[::2] == 2).all()


def test_a_question_is_worth_what_its_answer_is() -> None:
    of = rows(60)
    asking = (NOTHING, ActionFeatures("ask", kind="question"), ActionFeatures("coupon"))
    other = ResponseRows(of.X, of.action, of.reward, of.propensity, of.cluster, of.at, asking)
    said = spoken(lambda X, actions: np.ones((len(X), 3)), other, held(other))
    assert np.isnan(said[:, 1]).all()


def test_what_teaches_is_closed_before_what_judges_begins() -> None:
    of, window = rows(days=30.0), timedelta(days=7)
    windows = windows_of(of, window=window)
    week = np.timedelta64(window)
    assert of.at[windows.teach].max() + week < of.at[windows.judge].min() + np.timedelta64(1, "us")
    assert windows.judge.sum() == pytest.approx(len(of) * (23 / 3) / 30, rel=0.1)
    with pytest.raises(TooLittleData, match="lie within one attribution window") as early:
        windows_of(rows(days=6.0), window=window)
    assert early.value.ready is not None


def test_noise_is_named() -> None:
    assert better("better", Estimate(1.0, 0.1), "EUR").passed
    unsure = better("better", Estimate(1.0, 1.0), "EUR")
    assert not unsure.passed
    assert "+1 EUR a decision came" in unsure.answer
    assert not better("better", Estimate(0.0, 0.0), "EUR").passed
