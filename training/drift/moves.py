"""Which inputs and scores have moved since the training day: by enough, beyond chance, and more than they always do.

A quantity has *moved* where its PSI is at least 0.25, above what chance exceeds once in a hundred looks at *all* the
quantities of a model together (Bonferroni), and above twice what as many days brought before the training. It is *gone*
or *came* where it is known of ten points fewer or more of the customers, likewise beyond chance and twice the usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.drift.as_it_was import as_it_was
from training.drift.reference import Quantity, Reference
from training.drift.said import Said, Saying
from training.drift.spread import Spread, chance, ks, psi

STEADY, WATCH, MOVED, GONE, CAME, TOO_FEW = "steady", "watch", "moved", "gone", "came", "too_few"

MOVED_PSI, WATCHED_PSI = 0.25, 0.1  # the thresholds that credit scoring made customary
MOVED_UNKNOWN = 0.1  # ten points
ALPHA = 0.01  # a look at a model in which nothing has changed raises anything, at most so often
BEYOND_USUAL = 2.0
FEWEST = 100  # customers of whom it is known, then and now

DEVIATIONS, CUSTOMERS = "deviations", "customers"
ASKED_AGAIN = 2_000  # customers whose scores are asked for with an input as it was
LEANS = 0.2  # of a score's standard deviation, or of the customers: a model leans on an input that changes so much


class Effect(NamedTuple):
    """How much a score would be another; `Move` says what each is."""

    size: float
    on: str | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """One input or score, then and now.

    Attributes:
        kind: feature or score.
        verdict: steady, watch, moved, gone, came or too_few.
        psi: with ks, as `training.drift.spread` counts them; ks is None of a category.
        by_chance: the PSI that chance alone exceeds once in a hundred looks.
        as_usual: the PSI that as many days brought before.
        effect: how much the model's scores would be others with this input as it was, of the score that would be
            most; None where nothing moved, and of scores.
        effect_on: that score; None where no effect is known, or it is none.
        effect_unit: deviations (standard ones, of that score), or customers (the share of them that would get another
            category).
    """

    kind: str
    name: str
    verdict: str
    psi: float
    ks: float | None
    unknown_then: float
    unknown_now: float
    n_then: int
    n_now: int
    by_chance: float
    as_usual: float
    effect: float | None = None
    effect_on: str | None = None
    effect_unit: str | None = None

    @property
    def has_moved(self) -> bool:
        """Whether it is not what it was."""
        return self.verdict in (MOVED, GONE, CAME)

    @property
    def is_a_reason(self) -> bool:
        """Whether that is a reason to train anew: a score, or an input that the model leans on."""
        return self.has_moved and (self.effect is None or self.effect >= LEANS)

    def as_dict(self) -> dict[str, Any]:
        """For a program, rounded."""
        return {key: round(of, 4) if isinstance(of, float) else of for key, of in asdict(self).items()}


def moves_of(
    reference: Reference,
    X: NDArray[np.float32],
    *,
    inputs: Sequence[str],
    saying: Saying,
    days: float,
    seed: int = 0,
) -> list[Move]:
    """Every input and score of a version, as of today beside its training day.

    Args:
        reference: of the version.
        X: what is known of customers today, shape `(n, n_inputs)`, NaN where unknown.
        inputs: names of its columns.
        saying: what the model says of rows.
        days: that have passed since the training day.
        seed: of the customers who are asked about again.
    """
    said = saying(X) if len(X) else {}
    places = {name: place for place, name in enumerate(inputs)}
    there = {name: of for name, of in reference.features.items() if name in places}
    scored = {name: of for name, of in reference.scores.items() if name in said}
    alpha = ALPHA / max(2 * (len(there) + len(scored)), 1)  # each is looked at twice: its values, and whether known
    features = [
        judged("feature", name, of, of.spread.counted(X[:, places[name]]), days=days, alpha=alpha)
        for name, of in there.items()
    ]
    scores = [
        judged("score", name, of, of.spread.counted(said[name].values), days=days, alpha=alpha)
        for name, of in scored.items()
    ]
    rng = np.random.default_rng(seed)
    sample = X[np.sort(rng.permutation(len(X))[:ASKED_AGAIN])]
    return [
        _leaned_on(one, effect_of(reference, one.name, sample, place=places[one.name], saying=saying, rng=rng))
        if one.has_moved
        else one
        for one in features
    ] + scores


def judged(kind: str, name: str, then: Quantity, now: Spread, *, days: float, alpha: float) -> Move:
    """One quantity, then and now; `alpha` is how often chance may raise it."""
    far, by_chance = psi(then.spread, now), chance(then.spread, now, alpha=alpha)
    usual, usual_unknown = then.usual_over(days)
    verdict = STEADY
    if min(then.spread.n, now.n) < FEWEST:
        verdict = TOO_FEW
    elif _is_known_otherwise(then.spread, now, usual=usual_unknown, alpha=alpha):
        verdict = GONE if now.unknown_rate > then.spread.unknown_rate else CAME
    elif min(then.spread.n_known, now.n_known) < FEWEST:
        verdict = TOO_FEW
    elif far > max(by_chance, BEYOND_USUAL * usual, WATCHED_PSI):
        verdict = MOVED if far >= MOVED_PSI else WATCH
    return Move(
        kind=kind,
        name=name,
        verdict=verdict,
        psi=far,
        ks=ks(then.spread, now),
        unknown_then=then.spread.unknown_rate,
        unknown_now=now.unknown_rate,
        n_then=then.spread.n,
        n_now=now.n,
        by_chance=by_chance,
        as_usual=usual,
    )


def effect_of(
    reference: Reference,
    name: str,
    X: NDArray[np.float32],
    *,
    place: int,
    saying: Saying,
    rng: np.random.Generator,
) -> Effect:
    """How much scores would be others if an input were spread as it was on the training day.

    Args:
        reference: how it was spread.
        name: of the input.
        place: its column.
        X: customers of today.
        saying: what the model says of rows.
        rng: says who of those who are alike moves.
    """
    before = X.copy()
    before[:, place] = as_it_was(reference.features[name].spread, X[:, place], rng=rng)
    scale = {key: of.scale for key, of in reference.scores.items()}
    # Moved alone, a value may contradict the rest, as a last order before the first: of those nothing can be said.
    with np.errstate(all="ignore"):
        return _difference(saying(X), saying(before), scale=scale)


def _leaned_on(one: Move, effect: Effect) -> Move:
    return replace(one, effect=effect.size, effect_on=effect.on, effect_unit=effect.unit)


def _difference(now: Mapping[str, Said], then: Mapping[str, Said], *, scale: Mapping[str, float]) -> Effect:
    """The largest over the scores; customers of whom nothing can be said are left out."""
    found = [Effect(0.0, None, None)]
    for name, one in now.items():
        other = then[name].values
        is_said = np.isfinite(one.values) & np.isfinite(other)
        if not is_said.any():
            continue
        changed = one.values[is_said] - other[is_said]
        if one.names:
            found.append(Effect(float((changed != 0.0).mean()), name, CUSTOMERS))
        elif scale.get(name, 0.0) > 0.0:
            found.append(Effect(float(np.abs(changed).mean()) / scale[name], name, DEVIATIONS))
    return max(found, key=lambda effect: effect.size)


def _is_known_otherwise(then: Spread, now: Spread, *, usual: float, alpha: float) -> bool:
    """Whether the share of customers of whom it is not known has changed."""
    from scipy.stats import norm

    change = abs(now.unknown_rate - then.unknown_rate)
    pooled = (then.n_unknown + now.n_unknown) / (then.n + now.n)
    error = float(np.sqrt(pooled * (1.0 - pooled) * (1.0 / then.n + 1.0 / now.n)))
    return change >= MOVED_UNKNOWN and change > BEYOND_USUAL * usual and change > float(norm.isf(alpha / 2.0)) * error
