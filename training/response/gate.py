"""The gate's questions to a response model, on decisions that came after everything that taught it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.gating import BAND, SLACK_OF_BAND, SURE, Check
from training.response.actions import ActionFeatures
from training.response.choosing import SAME_FOR_ALL
from training.response.on_a_later_window import Policies
from training.response.policy_value import Estimate, Judge

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

FEWEST_EFFECTIVE = 100.0  # decisions of its policy that the log is worth: below it an interval leans on a handful


def checks_of(policies: Policies, *, learner: str, best_single: str, currency: str) -> list[Check]:
    """Every question but those about the champion and about speed.

    Args:
        policies: on the judging rows.
        learner: that was chosen on the teaching rows.
        best_single: the action that earned the most there if everybody got the same.
        currency: of the brand.
    """
    model, rates = policies.by_model(), policies.by_rates()
    checks = [_enough(policies, model)]
    checks.append(better("earns more than the rates' policy", policies.gain(model, rates), currency))
    place = _place_of(best_single, policies.rows.actions)
    gain = policies.gain(model, policies.always(place))
    question = f"earns more than '{best_single}' for everybody"
    if learner == SAME_FOR_ALL:
        answer = f"it holds every action for worth the same to everybody, so that it is one; {_told(gain, currency)}"
        checks.append(Check(question, gain.high >= 0.0, answer))
    else:
        checks.append(better(question, gain, currency))
    checks.append(_keeps_its_promise(policies, model, rates, currency))
    checks.append(_calibrated(policies, currency))
    return checks


def better(question: str, gain: Estimate, currency: str) -> Check:
    """Whether a policy earns more a decision than another, beyond noise."""
    share = NormalDist().cdf(gain.value / gain.error) if gain.error > 0.0 else float(gain.value > 0.0)
    answer = f"{_told(gain, currency)}; sure to {share:.1%}, needed are {SURE:.0%}"
    return Check(question, gain.value > 0.0 and share >= SURE, answer)


def figures_of(policies: Policies, *, best_single: str) -> dict[str, Any]:
    """What each policy earned on the judging rows, for model.json and for people."""
    model, rates = policies.by_model(), policies.by_rates()
    single = policies.always(_place_of(best_single, policies.rows.actions))
    return {
        "n": len(policies.rows),
        "n_customers": int(policies.judge.customers.max()) + 1,
        "effective_n": round(policies.effective_n(model), 1),
        "model": policies.value(model).as_dict(),
        "rates": policies.value(rates).as_dict(),
        "best_single": policies.value(single).as_dict(),
        "logged": policies.value(policies.rows.action).as_dict(),
        "gain_on_rates": policies.gain(model, rates).as_dict(),
        "gain_on_best_single": policies.gain(model, single).as_dict(),
        "promised_on_rates": float(f"{policies.promised(model, rates):.9g}"),
        "changed": round(float((model != rates).mean()), 4),
    }


def _enough(policies: Policies, model: Ints) -> Check:
    n = policies.effective_n(model)
    return Check(
        "the log can judge it",
        n >= FEWEST_EFFECTIVE,
        f"{len(policies.rows):,} later decisions are worth {n:,.0f} of its own, needed are {FEWEST_EFFECTIVE:.0f}",
    )


def _keeps_its_promise(policies: Policies, model: Ints, rates: Ints, currency: str) -> Check:
    """Whether the gain that the model foretold is there, as far as noise lets anybody see."""
    promised, gain = policies.promised(model, rates), policies.gain(model, rates)
    passed = gain.value + SLACK_OF_BAND * gain.error >= BAND[0] * promised
    return Check(
        "keeps what it promises",
        passed,
        f"{promised:+.4g} {currency} a decision were foretold, {_told(gain, currency)}; at least {BAND[0]:.0%} of what "
        "was foretold must lie within the interval",
    )


def _calibrated(policies: Policies, currency: str) -> Check:
    """Whether the rewards that it foretold of what was really done came: their slope and their level.

    A slope above the band says that the model is shyer than it need be, as learners from few decisions are on purpose:
    that costs gain, which is judged apart, and promises nothing that does not come.
    """
    judge, reward = policies.judge, policies.rows.reward
    said = (judge.m[:, np.newaxis] + judge.d)[np.arange(len(reward)), judge.action]
    slope, slack = slope_of(said, reward, judge)
    mean = judge.mean(reward)
    level = float(said.mean()) / mean.value if mean.value else float("nan")
    slack_of_level = abs(level) * mean.error / abs(mean.value) if mean.value else float("nan")
    is_level = BAND[0] - SLACK_OF_BAND * slack_of_level <= level <= BAND[1] + SLACK_OF_BAND * slack_of_level
    passed = is_level and slope >= BAND[0] - SLACK_OF_BAND * slack
    return Check(
        "calibrated",
        passed,
        f"slope {slope:.2f} ± {SLACK_OF_BAND * slack:.2f}; said {said.mean():.4g} {currency}, came {mean.value:.4g}: "
        f"{level:.2f} ± {SLACK_OF_BAND * slack_of_level:.2f}; asked are a slope of "
        f"{BAND[0]:.2f} and a level of {BAND[0]:.2f} … {BAND[1]:.2f}",
    )


def slope_of(said: Floats, came: Floats, judge: Judge) -> tuple[float, float]:
    """The slope of what came on what was said, with its standard error by customers; 1 where all was said the same."""
    away = said - said.mean()
    spread = float((away**2).sum())
    if spread <= 1e-12 * max(float((said**2).sum()), 1e-300):
        return 1.0, 0.0
    slope = float((away * (came - came.mean())).sum() / spread)
    left = away * (came - came.mean() - slope * away)
    return slope, judge.error(left) * len(left) / spread


def _place_of(action_id: str, actions: Sequence[ActionFeatures]) -> int:
    return next(place for place, action in enumerate(actions) if action.action_id == action_id)


def _told(gain: Estimate, currency: str) -> str:
    return f"{gain.value:+.4g} {currency} a decision came ({gain.low:+.4g} … {gain.high:+.4g})"
