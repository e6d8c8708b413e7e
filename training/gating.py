"""The gate's questions, each answered yes or no with the figures in words.

Better means: by a margin, and beyond noise, so in 95% of paired resamples of the customers. What few customers show may
be luck, and what a million show beyond doubt may be worth nothing; a challenger needs both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray, from_log_odds, log_odds, logistic_line
from training.resampling import Difference

_log = logging.getLogger("rapport.training")

MARGIN = 0.002  # of log-loss, in nats a customer: less is not worth a change of model
RELATIVE_MARGIN = 0.02  # of the other's loss: where few order, all that there is to know is less than the margin above
MARGIN_OF_SEPARATION = 0.01
SURE = 0.95  # the share of resamples in which a challenger is ahead

BAND = (2 / 3, 3 / 2)  # of the calibration's slope, and of what was said ÷ what happened
SLACK_OF_BAND = 1.96  # standard errors by which the figures of few customers may miss it

HARM = 0.01  # nats a customer: what a challenger may lose in one group, or
RELATIVE_HARM = 0.05  # so much of the other's loss there, whichever is more
SURE_OF_HARM = 3.0  # standard errors: some forty groups are looked at, and one in twenty is worse by luck

SLOWEST_US = 5_000.0  # a row: ten times what a decision's model costs here, so that a busy machine does not decide
TIMED_ROWS = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the gate, with its answer in words."""

    question: str
    passed: bool
    answer: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The whole verdict on a challenger, and the champion that it was compared with."""

    checks: tuple[Check, ...]
    champion: str | None

    @property
    def passed(self) -> bool:
        """Whether it may be promoted."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """What is kept beside the version."""
        checks = [{"question": c.question, "passed": c.passed, "answer": c.answer} for c in self.checks]
        return {"passed": self.passed, "champion": self.champion, "checks": checks}


def better_by_margin(question: str, *, loss: float, other: float, margin: float | None = None) -> Check:
    """Whether a mean loss is below another by more than the margin; None for the smaller of the gate's two."""
    needed = needed_margin(other) if margin is None else margin
    gain = other - loss
    return Check(
        question, gain > needed, f"{loss:.4f} against {other:.4f}: better by {gain:+.4f}, needed is {needed:.4f}"
    )


def better_beyond_noise(question: str, gain: Difference, *, loss: float, other: float) -> Check:
    """Whether a mean loss is below another by the margin, and that in 95% of resamples.

    Args:
        question: that is answered.
        gain: the other's loss less ours, a customer, resampled.
        loss: ours, the mean.
        other: the other's, the mean.
    """
    needed = needed_margin(other)
    passed = gain.mean > needed and gain.share_above_zero >= SURE
    return Check(
        question,
        passed,
        f"{loss:.4f} against {other:.4f}: better by {gain.mean:+.4f} ({gain.low:+.4f} … {gain.high:+.4f}), needed is "
        f"{needed:.4f}; better in {gain.share_above_zero:.1%} of resamples, needed are {SURE:.0%}",
    )


def needed_margin(other: float) -> float:
    """By how much a loss must be below another, in its unit."""
    return min(MARGIN, RELATIVE_MARGIN * other)


def calibrated(question: str, y: NDArray[np.uint8], probability: FloatArray) -> Check:
    """Whether what was said happened: slope and level within the band, or no farther from it than chance explains.

    Args:
        question: that is answered.
        y: 0 or 1, shape `(n,)`, of a window that calibrated nothing.
        probability: said before it, shape `(n,)`.
    """
    n_positive = int(y.sum())
    if not n_positive:
        return Check(question, False, f"none of {len(y)} happened: nothing can be said of it")
    slope, slack = (
        slope_of(y, probability) if n_positive < len(y) else (1.0, 0.0)
    )  # where all did, only the level can err
    said, rate = float(probability.mean()), float(y.mean())
    level, slack_of_level = said / rate, said / rate * float(np.sqrt((1.0 - rate) / n_positive))
    passed = all(
        BAND[0] - SLACK_OF_BAND * error <= value <= BAND[1] + SLACK_OF_BAND * error
        for value, error in ((slope, slack), (level, slack_of_level))
    )
    return Check(
        question,
        passed,
        f"slope {slope:.2f} ± {SLACK_OF_BAND * slack:.2f}, said {said:.1%} where {rate:.1%} happened: "
        f"{level:.2f} ± {SLACK_OF_BAND * slack_of_level:.2f}; asked of both are {BAND[0]:.2f} … {BAND[1]:.2f}",
    )


def slope_of(y: NDArray[np.uint8], probability: FloatArray) -> tuple[float, float]:
    """The calibration slope and its standard error, from the curvature of the likelihood."""
    score = log_odds(probability)
    if float(np.ptp(score)) == 0.0:
        return 1.0, 0.0  # one number for everybody: only its level can be wrong
    intercept, slope = logistic_line(score, y)
    p = from_log_odds(intercept + slope * score)
    weight = np.maximum(p * (1.0 - p), 1e-12)
    spread = float((weight * (score - np.average(score, weights=weight)) ** 2).sum())
    return slope, float(1.0 / np.sqrt(max(spread, 1e-12)))


def harmless(question: str, groups: list[tuple[str, Difference, float]]) -> Check:
    """Whether it is nowhere worse by more than the margin beyond noise.

    Args:
        question: that is answered.
        groups: name, the other's loss less ours, and the other's mean loss, each of one large group.
    """
    worse = []
    for name, gain, other in groups:
        allowed = max(HARM, RELATIVE_HARM * other)
        if -gain.mean > allowed and -gain.mean > SURE_OF_HARM * gain.standard_error:
            worse.append(f"{name}: worse by {-gain.mean:.4f} ± {gain.standard_error:.4f}, allowed is {allowed:.4f}")
    if worse:
        return Check(question, False, "; ".join(worse))
    if not groups:
        return Check(question, True, "there is none")
    name, gain, _ = min(groups, key=lambda one: one[1].mean)
    return Check(question, True, f"{len(groups)} looked at; the least gain is {gain.mean:+.4f}, in {name}")


def fast_enough(question: str, ask: Callable[[NDArray[np.float32]], object], X: NDArray[np.float32]) -> Check:
    """Whether one customer is scored within the limit: the median over single rows, as a decision asks.

    Args:
        question: that is answered.
        ask: the loaded model, given a matrix of one row.
        X: rows to ask about, shape `(n, n_inputs)`.
    """
    took = []
    ask(X[:1])  # what is built at the first question is not every question's
    for place in range(min(TIMED_ROWS, len(X))):
        row = X[place : place + 1]
        start = perf_counter()
        ask(row)
        took.append(perf_counter() - start)
    median = float(np.median(took)) * 1e6
    # Not in the answer: the same data give the same bytes of gate.json and of the card.
    _log.info("%s: %.0f µs a row", question, median)
    said = "fast enough" if median <= SLOWEST_US else "too slow"
    return Check(question, median <= SLOWEST_US, f"{said}: at most {SLOWEST_US:.0f} µs a row are allowed")


def not_yet(question: str, *, free_on: datetime) -> Check:
    """No window is left that the champion had not seen when it was made."""
    return Check(
        question,
        False,
        f"the champion was made with data up to a day inside the newest closed window; on {free_on:%Y-%m-%d} "
        "there will be a window that neither knew. Until then promote with --force only",
    )
