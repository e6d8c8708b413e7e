"""What was said of customers beside what came, as windows close: calibration since the training.

Only windows that are closed count, and only what was said before they began: scores of a day before the version's own
training day (`rapport score --as-of` can make them) say what the version had seen. One day a month stands for it, so
that a customer is in a row once; a champion is judged on the newest closed day that it scored itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.metrics import wilson_interval
from training.calibration import FloatArray
from training.dataset import Source
from training.gating import BAND, slope_of
from training.labels import label_window

CALIBRATED, OFF, TOO_FEW = "calibrated", "off", "too_few"

LEVEL = 0.2  # of the larger of said and came: said ÷ came is 0.80 … 1.25
SURE = 3.29  # standard errors: beyond them lies one in a thousand, and some six figures are looked at
FEWEST = 20  # who did, and who did not, as was expected: of fewer the normal law says nothing
FEWEST_EARNERS = 200  # customers who earned or cost anything: a mean of fewer is the mean of the largest few
MOST_UNSEEN = 2.0  # times the error that the rewards themselves show
RATE, MONEY = "rate", "money"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said of some customers, and what came.

    Attributes:
        what: such as `within 30 days`.
        horizon_days: so many days ahead: of an order, or of the segment; None of what is known at once, or of money.
        unit: rate or money, of `said`, `came` and its 95% interval from `low` to `high`.
        said_at: when; `until`: when all of it had come.
        version: that said it; `is_champions`: whether that is the one in use.
        slope: of what came on what was said, in log-odds: 1 is honest; None where it is not known.
        slope_error: its standard error.
        verdict: calibrated, off or too_few.
    """

    what: str
    horizon_days: int | None
    unit: str
    said_at: datetime
    until: datetime
    version: str
    is_champions: bool
    n: int
    said: float
    came: float
    low: float
    high: float
    slope: float | None
    slope_error: float | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """For a program, rounded."""
        told = {name: round(of, 4) if isinstance(of, float) else of for name, of in asdict(self).items()}
        return told | {"said_at": self.said_at.isoformat(), "until": self.until.isoformat()}


@dataclass(frozen=True, slots=True)
class Scores:
    """What a version said of customers on one day, by horizon.

    Attributes:
        trained_at: the version's own training day.
        probability: `{horizon_days: (n,)}`, NaN where it said nothing.
    """

    as_of: datetime
    version: str
    trained_at: datetime
    customer_keys: NDArray[np.int64]
    probability: dict[int, FloatArray]


def is_closed(said_at: datetime, horizon_days: int, *, known_until: datetime) -> bool:
    """Whether all that could come of it is known."""
    return label_window(said_at, horizon_days).is_closed_by(known_until)


def outcomes_of_scores(source: Source, days: Iterable[Scores], *, champion: str) -> list[Outcome]:
    """Each day's horizons whose windows are closed, in the order of the days.

    Args:
        source: of what happened.
        days: of scores.
        champion: the version in use.
    """
    found = []
    for day in days:
        if day.as_of < day.trained_at:
            continue
        for horizon, probability in sorted(day.probability.items()):
            if not is_closed(day.as_of, horizon, known_until=source.known_until):
                continue
            known = np.isfinite(probability)
            if known.any():
                ordered = source.happened(day.as_of, horizon)
                y = np.isin(day.customer_keys[known], ordered).astype(np.uint8)
                found.append(_of_a_day(day, horizon, y, probability[known], champion=champion))
    return found


def _of_a_day(day: Scores, horizon: int, y: NDArray[np.uint8], said: FloatArray, *, champion: str) -> Outcome:
    (slope, slope_error), verdict = verdict_of_rates(y, said)
    low, high = wilson_interval(int(y.sum()), len(y))
    return Outcome(
        what=f"within {horizon} days",
        horizon_days=horizon,
        unit=RATE,
        said_at=day.as_of,
        until=day.as_of + timedelta(days=horizon),
        version=day.version,
        is_champions=day.version == champion,
        n=len(y),
        said=float(said.mean()),
        came=float(y.mean()),
        low=low,
        high=high,
        slope=slope,
        slope_error=slope_error,
        verdict=verdict,
    )


def verdict_of_rates(y: NDArray[np.uint8], said: FloatArray) -> tuple[tuple[float, float] | tuple[None, None], str]:
    """The calibration's slope with its standard error, and whether level and slope are right, or off beyond chance.

    Args:
        y: 0 or 1, shape `(n,)`.
        said: probabilities, shape `(n,)`.
    """
    verdict = verdict_of_level(y, said)
    if verdict == TOO_FEW or not 0 < int(y.sum()) < len(y):
        return (None, None), verdict
    slope, error = slope_of(y, said)
    is_off = slope + SURE * error < BAND[0] or slope - SURE * error > BAND[1]
    return (slope, error), OFF if is_off else verdict


def verdict_of_level(y: NDArray[np.uint8], said: FloatArray) -> str:
    """Whether as many came as was said; arguments as of `verdict_of_rates`."""
    n, expected, n_came = len(y), float(said.sum()), int(y.sum())
    if min(max(expected, n_came), max(n - expected, n - n_came)) < FEWEST:
        return TOO_FEW
    is_off = _is_surprising(n, expected, n_came, said=said) and abs(n_came - expected) > LEVEL * max(expected, n_came)
    return OFF if is_off else CALIBRATED


def _is_surprising(n: int, expected: float, n_came: int, *, said: FloatArray) -> bool:
    """Whether so many would come once in a thousand if what was said were true.

    Where few were expected to, or not to, and many did, by the binomial law of the mean, whose tail beyond the mean is
    no lighter than that of unequal probabilities (Hoeffding 1956, On the distribution of the number of successes in
    independent trials, theorem 4); else by the normal law.
    """
    if min(expected, n - expected) >= FEWEST:
        return bool(abs(n_came - expected) > SURE * float(np.sqrt((said * (1.0 - said)).sum())))
    from scipy.stats import binom, norm

    if expected > n - expected:  # then those who did not are the few
        expected, n_came = n - expected, n - n_came
    tail = float(binom.sf(n_came - 1, n, min(max(expected / n, 0.0), 1.0)))
    return tail < float(norm.sf(SURE))


def outcome_of_rewards(
    said: FloatArray,
    came: FloatArray,
    customers: NDArray[np.int64],
    *,
    said_at: datetime,
    until: datetime,
    version: str,
) -> Outcome:
    """What decisions were expected to earn beside what they earned; one customer's decisions hang together.

    Args:
        said: shape `(n,)`, in money.
        came: shape `(n,)`.
        customers: shape `(n,)`, whose decisions.
        said_at: the first decision.
        until: when the last one's window was closed.
        version: that said it, the champion.
    """
    _, whose = np.unique(customers, return_inverse=True)
    n = len(said)
    error_of_came = _clustered_error(came - came.mean(), whose)
    mean_said, mean_came = float(said.mean()), float(came.mean())
    return Outcome(
        what="earned a decision",
        horizon_days=None,
        unit=MONEY,
        said_at=said_at,
        until=until,
        version=version,
        is_champions=True,
        n=n,
        said=mean_said,
        came=mean_came,
        low=mean_came - 1.96 * error_of_came,
        high=mean_came + 1.96 * error_of_came,
        slope=None,
        slope_error=None,
        verdict=_verdict_of_money(said, came, whose),
    )


def _verdict_of_money(said: FloatArray, came: FloatArray, whose: NDArray[np.intp]) -> str:
    """Whether as much was earned as was said; `whose` numbers the customers, shape `(n,)`.

    Where large rewards happen to be missing, the mean and its error are small together, and a true model would be off
    in several looks of a hundred. So the error is no smaller than it were with the mean that was said and amounts as
    unequal as they are on the log scale, which hardly depends on the largest ones: of log-normal amounts that is their
    own law. Amounts of several kinds (a cost each, a sale seldom) have none: there at most twice what they show
    themselves, were it as much larger as what was said is.
    """
    earned = np.bincount(whose, weights=np.abs(came))
    logs = np.log(earned[earned > 0.0])
    if len(logs) < FEWEST_EARNERS:
        return TOO_FEW
    mean_said, mean_came, size = abs(float(said.mean())), float(came.mean()), float(np.abs(came).mean())
    error = _clustered_error(came - said, whose)
    unequal = np.exp(min(float(logs.var()), 50.0)) * len(earned) / len(logs) - 1.0  # (error ÷ mean)² · customers
    at_most = MOST_UNSEEN * error * max(mean_said / size, 1.0)
    error = max(error, min(mean_said * float(np.sqrt(unequal / len(earned))), at_most))
    gap = abs(float(said.mean()) - mean_came)
    return OFF if gap > SURE * error and gap > LEVEL * max(mean_said, size) else CALIBRATED


def newest_of_champion(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The champion's newest of each kind: what a suggestion to train anew may rest on."""
    newest: dict[str, Outcome] = {}
    for one in sorted(outcomes, key=lambda one: one.said_at):
        if one.is_champions:
            newest[one.what] = one
    return list(newest.values())


def _clustered_error(residual: FloatArray, whose: NDArray[np.intp]) -> float:
    """The standard error of a mean whose rows hang together by customer."""
    sums = np.bincount(whose, weights=residual)
    return float(np.sqrt((sums**2).sum())) / len(residual)
