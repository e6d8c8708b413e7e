"""Whether segments matter: do their customers buy, spend and respond differently on a window that taught nothing?

What each group did in one window is what is said of it for the next. Where that says the next one no better than
everybody's mean does, beyond noise, the groups do not differ in it, however different they look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Names = NDArray[np.object_]

Z = 1.959964
FEWEST = 30  # customers of a group in a window: of fewer, no rate is said


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """One group on the window that taught nothing: the mean with its 95% interval, and what was said of it."""

    name: str
    n: int
    mean: float
    low: float
    high: float
    said: float

    def as_dict(self) -> dict[str, Any]:
        """Rounded."""
        return {"group": self.name, "n": self.n} | {
            part: round(float(getattr(self, part)), 6) for part in ("mean", "low", "high", "said")
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Whether a way of grouping customers says anything of an outcome.

    Attributes:
        by: the way: `segment`, `stage`, `rfm` or a name of the brand's own.
        outcome: `ordered` or `spend`.
        skill: the share of the squared error of everybody's mean that the groups' own means save, with its 95%
            interval; money is compared by its logarithm, so that no whale decides.
        matters: whether the whole interval is above 0.
    """

    by: str
    outcome: str
    n: int
    skill: float
    low: float
    high: float
    groups: tuple[GroupOutcome, ...]

    @property
    def matters(self) -> bool:
        """Whether the groups differ in it beyond noise."""
        return bool(self.low > 0.0)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "by": self.by,
            "outcome": self.outcome,
            "n": self.n,
            "skill": round(self.skill, 6),
            "skill_low": round(self.low, 6),
            "skill_high": round(self.high, 6),
            "matters": self.matters,
            "groups": [group.as_dict() for group in self.groups],
        }

    def in_words(self) -> str:
        """One line for people."""
        said = f"{self.skill:+.1%} ({self.low:+.1%} to {self.high:+.1%}) of the squared error saved"
        verdict = "they differ" if self.matters else "they do NOT differ beyond noise"
        return f"{self.by} and {self.outcome}: {verdict}; {said}"


@dataclass(frozen=True, slots=True)
class Window:
    """Who was in which group when a window began, and what they did in it; shapes `(n,)`."""

    groups: Mapping[str, Names]
    ordered: Floats
    spend: Floats


def differences(taught: Window, judged: Window) -> list[Difference]:
    """Each way of grouping against each outcome, with what was learned in one window judged on the next."""
    found = []
    for by in judged.groups:
        for outcome in ("ordered", "spend"):
            before, after = (getattr(window, outcome) for window in (taught, judged))
            found.append(_difference(by, outcome, taught.groups[by], before, judged.groups[by], after))
    return found


def _difference(by: str, outcome: str, old: Names, before: Floats, new: Names, after: Floats) -> Difference:
    level = np.log1p if outcome == "spend" else np.asarray
    x, y = level(before), level(after)
    overall = float(x.mean()) if len(x) else 0.0
    said = np.full(len(y), overall)
    groups = []
    for name in dict.fromkeys(sorted(new.tolist())):
        inside, was = new == name, old == name
        if was.sum() >= FEWEST:
            said[inside] = float(x[was].mean())
        groups.append(_outcome(str(name), after[inside], said=float(before[was].mean()) if was.any() else np.nan))
    worse, better = (y - overall) ** 2, (y - said) ** 2
    total = float(worse.mean()) if len(y) else 0.0
    if total <= 0.0:
        return Difference(by, outcome, len(y), 0.0, 0.0, 0.0, tuple(groups))
    gain = worse - better
    skill = float(gain.mean()) / total
    spread = Z * float((gain - skill * worse).std()) / np.sqrt(len(y)) / total  # of a ratio of means (delta method)
    return Difference(by, outcome, len(y), skill, skill - spread, skill + spread, tuple(groups))


def _outcome(name: str, values: Floats, *, said: float) -> GroupOutcome:
    mean = float(values.mean())
    spread = Z * float(values.std()) / np.sqrt(len(values))
    return GroupOutcome(name, len(values), mean, mean - spread, mean + spread, 0.0 if np.isnan(said) else said)


@dataclass(frozen=True, slots=True)
class Response:
    """Whether segments respond differently: the uplift over nothing in each, and whether they are one.

    Attributes:
        of: which decisions or campaign.
        p: of the hypothesis that all segments have one uplift (Cochran's Q); None where fewer than two can be told.
        is_inferred: whether the probabilities of what was sent are not those with which somebody drew.
    """

    of: str
    n: int
    groups: tuple[GroupOutcome, ...]
    p: float | None
    is_inferred: bool

    @property
    def matters(self) -> bool:
        """Whether segments differ beyond noise, at 1 in 20."""
        return bool(self.p is not None and self.p < 0.05)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "of": self.of,
            "n": self.n,
            "p": None if self.p is None else round(self.p, 6),
            "matters": self.matters,
            "propensities_inferred": self.is_inferred,
            "groups": [
                {"group": g.name, "n": g.n}
                | {"uplift": round(g.mean, 6), "low": round(g.low, 6), "high": round(g.high, 6)}
                for g in self.groups
            ],
        }

    def in_words(self) -> str:
        """One line for people."""
        if self.p is None:
            return f"response to {self.of}: too few in two segments to say whether they differ"
        verdict = "they differ" if self.matters else "they do NOT differ beyond noise"
        return f"response to {self.of}: {verdict} (Cochran's Q, p = {self.p:.3f}, {self.n:,} messages)"


def response_by_segment(
    segments: Names,
    *,
    treated: NDArray[np.bool_],
    reward: Floats,
    propensity: Floats,
    cluster: NDArray[np.int64],
    of: str,
    is_inferred: bool = False,
) -> Response:
    """The uplift of having been sent something over nothing, segment by segment, and whether it is one everywhere.

    Each side is weighted by 1 ÷ the probability of what was done (Hájek); customers, not messages, are independent.

    Args:
        segments: of each message's customer before it, shape `(n,)`.
        treated: whether something was sent.
        reward: what followed.
        propensity: P(what was done).
        cluster: the customer.
        of: what these are, in words.
        is_inferred: whether the propensities are inferred.

    References:
        Hájek (1971); Cochran (1954), The combination of estimates from different experiments.
    """
    groups = []
    for name in sorted(set(segments.tolist())):
        inside = segments == name
        sides = [
            _weighted(reward[rows], 1.0 / propensity[rows], cluster[rows])
            for rows in (inside & treated, inside & ~treated)
            if len(np.unique(cluster[rows])) >= FEWEST
        ]
        if len(sides) == 2:
            uplift, spread = sides[0][0] - sides[1][0], Z * float(np.hypot(sides[0][1], sides[1][1]))
            groups.append(GroupOutcome(str(name), int(inside.sum()), uplift, uplift - spread, uplift + spread, 0.0))
    return Response(of, len(segments), tuple(groups), _heterogeneity(groups), is_inferred)


def _weighted(reward: Floats, weight: Floats, cluster: NDArray[np.int64]) -> tuple[float, float]:
    """The weighted mean and its standard error, by customers."""
    mean = float(np.average(reward, weights=weight))
    _, place = np.unique(cluster, return_inverse=True)
    residual = np.bincount(place, weights=weight * (reward - mean))
    n = len(residual)
    return mean, float(np.sqrt((residual**2).sum() * n / max(n - 1, 1)) / weight.sum())


def _heterogeneity(groups: Sequence[GroupOutcome]) -> float | None:
    from scipy.stats import chi2

    known = [(g.mean, (g.high - g.low) / (2 * Z)) for g in groups if g.high > g.low]
    if len(known) < 2:
        return None
    uplift, error = (np.array(of) for of in zip(*known, strict=True))
    weight = 1.0 / error**2
    q = float((weight * (uplift - np.average(uplift, weights=weight)) ** 2).sum())
    return float(chi2.sf(q, len(known) - 1))
