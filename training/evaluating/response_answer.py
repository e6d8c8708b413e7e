"""What is asked of `rapport evaluate response`, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluating.response_splits import FIGURES, Judged, Terms
from training.overlap import Overlap, Refusal
from training.response.policy_value import Estimate
from training.response.rows import ResponseRows

DIGITS = 6


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked.

    Attributes:
        campaign: its name.
        outcome: that counts.
        arms: two of them, by their own names or their actions'; empty where the campaign has only two.
        splits: how many random ones.
        seed: of the first split; the others follow from it.
        test_share: of customers who judge.
        terms: what an outcome is worth and a message costs.
        window_days: over which orders count; None for the campaign's.
        workers: processes; None for one a core.
    """

    campaign: str
    outcome: str
    arms: tuple[str, ...] = ()
    splits: int = 21
    seed: int = 0
    test_share: float = 0.3
    terms: Terms = field(default_factory=Terms)
    window_days: float | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The answer, or the refusal in place of one."""

    question: Question
    treated: str
    control: str
    rows: ResponseRows
    window_days: float
    inputs: tuple[str, ...]
    overlap: Overlap | None = None
    refusal: Refusal | None = None
    judged: tuple[Judged, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: without models where it is refused."""
        asked = self.question
        told: dict[str, Any] = {
            "task": "response",
            "campaign": asked.campaign,
            "outcome": asked.outcome,
            "window_days": self.window_days,
            "treated": self.treated,
            "control": self.control,
            "n": len(self.rows),
            "n_customers": len(np.unique(self.rows.cluster)),
            "splits": asked.splits,
            "seed": asked.seed,
            "test_share": asked.test_share,
            "value": asked.terms.value,
            "cost": asked.terms.cost,
            "inputs": list(self.inputs),
        }
        if self.overlap is not None:
            told["overlap"] = self.overlap.figures()
        told["notes"] = list(self.notes)
        if self.refusal is not None:
            return told | {"refused": self.refusal.as_dict(), "models": []}
        return told | {
            "arms": self._arms(),
            "effect": self.effect(),
            "chosen": [
                {"split": place, "learner": one.learner, "why": one.why} for place, one in enumerate(self.judged)
            ],
            "chosen_counts": self.chosen_counts(),
            "models": [{"name": name, "metrics": nested(self.figures(name))} for name in self.judged[0].figures],
        }

    def figures(self, model: str) -> dict[str, tuple[float, float] | None]:
        """By figure, the mean and the standard deviation over the splits; None where no split has one."""
        found: dict[str, tuple[float, float] | None] = {}
        for name in FIGURES:
            values = [one.figures[model][name] for one in self.judged]
            known = np.array([value for value in values if value is not None])
            sd = float(known.std(ddof=1)) if len(known) > 1 else 0.0
            found[name] = (float(known.mean()), sd) if len(known) else None
        return found

    def chosen_counts(self) -> dict[str, int]:
        """How often ours chose each learner, the most frequent first."""
        names = [one.learner for one in self.judged]
        return {name: names.count(name) for name in sorted(set(names), key=lambda name: (-names.count(name), name))}

    def effect(self) -> dict[str, Any]:
        """The mean of the treated less that of the controls, its 95% interval, and whether that lies beside zero."""
        (control, error_of_control), (treated, error_of_treated) = self._means()
        effect = Estimate(treated - control, math.hypot(error_of_control, error_of_treated))
        found = not effect.low <= 0.0 <= effect.high
        return {name: _rounded(value) for name, value in effect.as_dict().items()} | {"found": found}

    def _arms(self) -> list[dict[str, Any]]:
        return [
            {
                "arm": name,
                "n": int((self.rows.action == place).sum()),
                "mean": _rounded(mean),
                "standard_error": _rounded(error),
            }
            for place, (name, (mean, error)) in enumerate(zip((self.control, self.treated), self._means(), strict=True))
        ]

    def _means(self) -> list[tuple[float, float]]:
        """The mean of the control and of the treated, each with its standard error."""
        arms = (self.rows.taken(self.rows.action == place) for place in (0, 1))
        return [weighted_mean(of.reward, 1.0 / of.propensity, of.cluster) for of in arms]


def weighted_mean(
    values: NDArray[np.float64], weights: NDArray[np.float64], cluster: NDArray[np.int64]
) -> tuple[float, float]:
    """The weighted mean of some rows and its standard error, customers being the units."""
    mean = float((weights * values).sum() / weights.sum())
    _, place = np.unique(cluster, return_inverse=True)
    sums = np.bincount(place, weights=weights * (values - mean))
    n = len(sums)
    return mean, math.sqrt(float((sums**2).sum()) * n / max(n - 1, 1)) / float(weights.sum())


def nested(figures: Mapping[str, tuple[float, float] | None]) -> dict[str, Any]:
    """The figures as JSON has them: `uplift_at_10.overall.mean`, `qini_auc.sd` and so on."""
    told: dict[str, Any] = {}
    for name, pair in figures.items():
        value = None if pair is None else {"mean": _rounded(pair[0]), "sd": _rounded(pair[1])}
        for strategy in ("overall", "by_group"):
            if name.endswith(f"_{strategy}"):
                told.setdefault(name.removesuffix(f"_{strategy}"), {})[strategy] = value
                break
        else:
            told[name] = value
    return told


def _rounded(value: float) -> float:
    return round(value, DIGITS)
