"""One random split: everything learns from the same customers, and is judged on the same others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.uplift_metrics import qini_auc, ranked, uplift_at, uplift_auc
from training.evaluating.response_alternatives import Known, Taught, alternatives
from training.response.design import design_for
from training.response.fitting import fit_response
from training.response.rows import ResponseRows

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Figures = dict[str, float | None]

OURS, RANDOM, BEST_SINGLE = "rapport", "random", "best single action"
SHARES = (0.1, 0.3)
FIGURES = (
    *(f"uplift_at_{share * 100:.0f}_{strategy}" for share in SHARES for strategy in ("overall", "by_group")),
    "qini_auc",
    "uplift_auc",
    "policy_value",
    "net_value",
    "treated_share",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an outcome is worth and a message costs, both in the same money."""

    value: float = 1.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """What one split says.

    Attributes:
        figures: by model, the FIGURES.
        learner: that ours chose.
        why: it did, in words.
    """

    figures: Mapping[str, Figures]
    learner: str
    why: str


def split_of(rows: ResponseRows, *, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of rows to learn from and of rows to be judged on, in random order; all of a customer's on one side.

    Where each customer has one row, both sides have the same share of each arm, and of those with an outcome in it.

    Args:
        rows: to be split.
        share: of customers that judge.
        seed: same seed, same split.
    """
    rng = np.random.default_rng(seed)
    customers, place = np.unique(rows.cluster, return_inverse=True)
    if len(customers) < len(rows):
        judges = np.zeros(len(customers), dtype=bool)
        judges[rng.permutation(len(customers))[: round(share * len(customers))]] = True
        judge = judges[place]
    else:
        judge = np.zeros(len(rows), dtype=bool)
        strata = rows.action * 2 + (rows.reward > 0)
        for stratum in np.unique(strata):
            of_it = rng.permutation(np.flatnonzero(strata == stratum))
            judge[of_it[: round(share * len(of_it))]] = True
    shuffled = rng.permutation(len(rows))  # ties of a ranking are then in random order
    return shuffled[~judge[shuffled]], shuffled[judge[shuffled]]


def judge_split(
    rows: ResponseRows,
    *,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    terms: Terms,
    share: float,
    seed: int,
) -> Judged:
    """Fits ours and every alternative to one part of the customers, and judges all on the other.

    Args:
        rows: of two actions, the control first.
        inputs: names of the columns of `rows.X`.
        categories: of the categorical ones, by name.
        terms: what an outcome is worth and a message costs.
        share: of customers that judge.
        seed: of the split and of every fit.
    """
    learn, judge = split_of(rows, share=share, seed=seed)
    taught, asked = rows.taken(learn), rows.taken(judge)
    ours = fit_response(taught, inputs=inputs, categories=categories, seed=seed)
    said: dict[str, Floats] = {OURS: np.asarray(ours.uplift(asked.X)[:, 1], dtype=np.float64)}
    lesson, known = _known(taught, asked, inputs=inputs, categories=categories, seed=seed)
    for name, fit in alternatives().items():
        said[name] = _quietly(fit, lesson, known)
    rng = np.random.default_rng((seed, 1))
    score = Score(asked, _rewards_by_arm(lesson, known, taught, asked), terms)
    figures = {name: score.of(uplift, policy=_policy(uplift, terms)) for name, uplift in said.items()}
    figures[RANDOM] = score.of(rng.random(len(asked)), policy=np.full(len(asked), 0.5))
    treat = _mean_uplift(taught) * terms.value > terms.cost
    figures[BEST_SINGLE] = score.of(np.zeros(len(asked)), policy=np.full(len(asked), float(treat)))
    return Judged(figures, ours.learner, ours.why)


class Score:
    """Judges rankings and policies on customers that taught nothing.

    Args:
        asked: those customers, with what they really got.
        rewards: doubly robust rewards of control and treatment, shape `(n, 2)`.
        terms: what an outcome is worth and a message costs.
    """

    def __init__(self, asked: ResponseRows, rewards: Floats, terms: Terms) -> None:
        self._asked, self._rewards, self._terms = asked, rewards, terms
        shares = np.bincount(asked.action, minlength=2) / len(asked)
        self._weights = None if same_for_each_arm(asked) else shares[asked.action] / asked.propensity

    def of(self, uplift: Floats, *, policy: Floats) -> Figures:
        """The FIGURES of a ranking, and of a policy's probabilities of treating each customer."""
        rows = ranked(self._asked.reward, uplift, self._asked.action == 1, weights=self._weights)
        figures: Figures = {}
        for share in SHARES:
            for strategy in ("overall", "by_group"):
                figures[f"uplift_at_{share * 100:.0f}_{strategy}"] = uplift_at(rows, share, strategy=strategy)
        figures["qini_auc"], figures["uplift_auc"] = qini_auc(rows), uplift_auc(rows)
        value = float((policy * self._rewards[:, 1] + (1.0 - policy) * self._rewards[:, 0]).mean())
        share = float(policy.mean())
        figures |= {"policy_value": value, "net_value": self._terms.value * value - self._terms.cost * share}
        figures["treated_share"] = share
        return {name: _finite(figure) for name, figure in figures.items()}


def same_for_each_arm(rows: ResponseRows) -> bool:
    """Whether everybody had the same probabilities, so that rows need no weights."""
    spread = [np.ptp(rows.propensity[rows.action == arm]) for arm in np.unique(rows.action)]
    return max(spread, default=0.0) < 1e-6


def _policy(uplift: Floats, terms: Terms) -> Floats:
    """Who is treated: whom it brings more than it costs; of a response ranking, who is expected to bring more."""
    return np.asarray(uplift * terms.value > terms.cost, dtype=np.float64)


def _mean_uplift(rows: ResponseRows) -> float:
    means = [
        np.average(rows.reward[of], weights=1.0 / rows.propensity[of]) for of in (rows.action == 1, rows.action == 0)
    ]
    return float(means[0] - means[1])


def _known(
    taught: ResponseRows,
    asked: ResponseRows,
    *,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    seed: int,
) -> tuple[Taught, Known]:
    """What the alternatives learn from and are asked of; regressions see the same design as ours."""
    X, new = taught.X.astype(np.float64), asked.X.astype(np.float64)
    design = design_for(X, inputs=inputs, categories=categories)
    places = {name: place for place, name in enumerate(inputs)}
    categorical = tuple(place for place, name in enumerate(inputs) if name in categories)
    lesson = Taught(Known(X, design.of(X, places)), taught.action == 1, taught.reward, categorical, seed)
    return lesson, Known(new, design.of(new, places))


def _rewards_by_arm(lesson: Taught, known: Known, taught: ResponseRows, asked: ResponseRows) -> Floats:
    """Doubly robust rewards of either arm, shape `(n, 2)`: a ridge regression an arm, mended by what followed."""
    from sklearn.linear_model import Ridge

    rewards = np.empty((len(asked), 2))
    for arm in (0, 1):
        of = taught.action == arm
        foretold = Ridge(alpha=10.0).fit(lesson.known.Z[of], taught.reward[of]).predict(known.Z)
        got = asked.action == arm
        rewards[:, arm] = foretold + np.where(got, (asked.reward - foretold) / asked.propensity, 0.0)
    return rewards


def _quietly(fit: Callable[[Taught, Known], Floats], lesson: Taught, known: Known) -> Floats:
    """A regression that has not converged is used as it is: what it predicts is judged all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.nan_to_num(fit(lesson, known))


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None
