"""Differences between two arms with their 95% intervals, or the reason why there is none.

Chosen for a small holdout arm, rare orders and skewed spend:

- *absolute uplift of a rate*: Newcombe's hybrid score interval. A Wald interval covers too seldom when one arm is ten
  times smaller and few of its customers order; the score interval holds its coverage and stays inside [-1, 1].
- *absolute uplift of a mean*: each arm's own interval on the log scale, recovered into one for the difference (MOVER;
  Newcombe's is the same idea). Spend is zero for most and skewed for the rest, and what it is known from are its few
  orders, hence the t quantile on them. Simulated, 200 held-out customers of whom 12 to 16 order: Welch's symmetric
  interval covers in 0.90 to 0.93 of runs, this one in 0.95 to 0.97.
- *relative uplift of either*: the delta method on the logarithm of the ratio of means; the ratio's own distribution is
  skewed where the control's mean is noisy, its logarithm's is not.
- *sample ratio*: the exact binomial test against the recorded arm probability, or its normal approximation where
  customers were assigned with different probabilities.

References:
    Newcombe (1998), Interval estimation for the difference between independent proportions, method 10.
    Zou and Donner (2008), Construction of confidence limits about effect measures: a general approach.
    Katz et al. (1978), Obtaining confidence intervals for the risk ratio in cohort studies.
    Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
SAMPLE_RATIO_ALPHA = 0.001  # a healthy experiment raises this alarm once in a thousand looks
MIN_CUSTOMERS = 30  # an arm; below it no interval of a skewed mean holds its coverage
MIN_CONVERTED = 5  # an arm; below it the spread of spend, and the logarithm of a rate, are guesses

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NotEstimable:
    """Why there is no number: for people in `reason`, for translators in `code` and `facts`."""

    reason: str
    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the ends of its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0.0 or self.high < 0.0

    def times(self, factor: float) -> Estimate:
        """The same estimate in another unit, for a factor that is known."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Estimate(self.value * factor, low, high)


@dataclass(frozen=True, slots=True)
class Sample:
    """What an interval needs of one arm: its customers' count, mean and variance, and how many are not zero."""

    n: int
    mean: float
    variance: float
    n_positive: int

    @classmethod
    def of(cls, values: Floats) -> Sample:
        """The sample of one value a customer."""
        n = int(values.size)
        return cls(
            n=n,
            mean=float(values.mean()) if n else math.nan,
            variance=float(values.var(ddof=1)) if n > 1 else math.nan,
            n_positive=int(np.count_nonzero(values)),
        )


def difference_of_rates(treatment: Sample, control: Sample) -> Estimate:
    """Treatment's rate minus control's, with Newcombe's (1998) hybrid score interval, method 10."""
    low_t, high_t = wilson_interval(treatment.n_positive, treatment.n)
    low_c, high_c = wilson_interval(control.n_positive, control.n)
    difference = treatment.mean - control.mean
    return Estimate(
        difference,
        difference - math.hypot(treatment.mean - low_t, high_c - control.mean),
        difference + math.hypot(high_t - treatment.mean, control.mean - low_c),
    )


def wilson_interval(n_positive: int, n: int) -> tuple[float, float]:
    """The ends of Wilson's score interval of one rate."""
    z = _normal_quantile()
    rate = n_positive / n
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def difference_of_means(treatment: Sample, control: Sample) -> Estimate | NotEstimable:
    """Treatment's mean minus control's, recovered from each arm's log-scale interval (Zou and Donner 2008, eq. 6)."""
    if (reason := _too_few_with_value(treatment, control)) is not None:
        return reason
    growth_t, growth_c = math.exp(_log_half_of_mean(treatment)), math.exp(_log_half_of_mean(control))
    difference = treatment.mean - control.mean
    return Estimate(
        difference,
        difference - math.hypot(treatment.mean * (1 - 1 / growth_t), control.mean * (growth_c - 1)),
        difference + math.hypot(treatment.mean * (growth_t - 1), control.mean * (1 - 1 / growth_c)),
    )


def relative_difference_of_rates(treatment: Sample, control: Sample) -> Estimate | NotEstimable:
    """(Treatment's rate - control's) / control's, on the log scale (Katz 1978)."""
    if (reason := _too_few_converted(treatment, control)) is not None:
        return reason
    z = _normal_quantile()
    return _ratio_less_one(treatment, control, half=z * math.hypot(_log_error(treatment), _log_error(control)))


def relative_difference_of_means(treatment: Sample, control: Sample) -> Estimate | NotEstimable:
    """(Treatment's mean - control's) / control's, on the log scale, with the t quantile of each arm's orders."""
    if (reason := _too_few_with_value(treatment, control)) is not None:
        return reason
    half = math.hypot(_log_half_of_mean(treatment), _log_half_of_mean(control))
    return _ratio_less_one(treatment, control, half=half)


def _ratio_less_one(treatment: Sample, control: Sample, *, half: float) -> Estimate:
    ratio = treatment.mean / control.mean
    return Estimate(ratio - 1, ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1)


def _log_error(sample: Sample) -> float:
    """The standard error of the logarithm of a mean."""
    return math.sqrt(sample.variance / sample.n) / sample.mean


def _log_half_of_mean(sample: Sample) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(sample.n_positive - 1, 0.5 + CONFIDENCE / 2)) * _log_error(sample)


def _too_few_converted(treatment: Sample, control: Sample) -> NotEstimable | None:
    return _too_few(treatment, control, counted="reached the goal", code="too_few_converted")


def _too_few_with_value(treatment: Sample, control: Sample) -> NotEstimable | None:
    return _too_few(treatment, control, counted="reached the goal with a value", code="too_few_with_value")


def _too_few(treatment: Sample, control: Sample, *, counted: str, code: str) -> NotEstimable | None:
    for arm, sample in (("personalised", treatment), ("holdout", control)):
        if sample.n_positive < MIN_CONVERTED:
            return NotEstimable(
                f"{sample.n_positive} {arm} customers {counted} within their window; at least {MIN_CONVERTED} "
                f"in each arm are needed.",
                code,
                {"arm": arm, "n": sample.n_positive, "needed": MIN_CONVERTED},
            )
    return None


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the arms are as large as the draw that filled them says they should be."""

    n_holdout: int
    expected_n_holdout: float
    n_customers: int
    p_value: float

    @property
    def is_healthy(self) -> bool:
        """Whether chance alone explains the arms' sizes."""
        return self.p_value >= SAMPLE_RATIO_ALPHA


def sample_ratio(n_holdout: int, holdout_probabilities: Floats) -> SampleRatio:
    """Tests the count of held-out customers against the probability with which each was held out.

    Args:
        n_holdout: customers really held out.
        holdout_probabilities: P(held out) of every customer of either arm, in (0, 1).
    """
    from scipy.stats import binomtest, norm

    n = int(holdout_probabilities.size)
    expected = float(holdout_probabilities.sum())
    first = float(holdout_probabilities[0])
    if np.allclose(holdout_probabilities, first, rtol=0, atol=1e-12):
        p_value = float(binomtest(n_holdout, n, first).pvalue)
    else:
        spread = math.sqrt(float((holdout_probabilities * (1 - holdout_probabilities)).sum()))
        p_value = float(2 * norm.sf(abs(n_holdout - expected) / spread)) if spread > 0 else 1.0
    return SampleRatio(n_holdout, expected, n, p_value)


def _normal_quantile() -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + CONFIDENCE / 2))
