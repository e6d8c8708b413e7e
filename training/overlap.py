"""Whether a log can say what an action causes: could everybody have got everything, and is that by lot?

Nobody asks the campaign's owner: a model of who got what from what was known before is fitted, cross-fitted by
customer. Where it tells the arms apart beyond the probabilities that were declared, the campaign was targeted: those
who got the message differ from those who did not, also in what nobody recorded, and no number of theirs is the
message's doing. Then there is a refusal in place of a number, with the experiment that would settle it.

References:
    Rosenbaum and Rubin (1983), The central role of the propensity score in observational studies for causal effects.
    Crump, Hotz, Imbens, Mitnik (2009), Dealing with limited overlap in estimation of average treatment effects.
    Kish (1965), Survey sampling: the effective sample size.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.sizing import customers_needed
from training.boosting import reproducible
from training.dataset import training_threads
from training.response.rows import ResponseRows

Floats = NDArray[np.float64]

LOW, HIGH = 0.05, 0.95
MOST_OUTSIDE = 0.05  # of customers with a probability outside LOW..HIGH
MOST_TOLD = 0.005  # nats a row by which what was known may tell arms apart: what a balanced AUC of 0.556 does
STANDARD_ERRORS = 4.0
FEWEST_IN_AN_ARM = 100  # customers
FEWEST_TO_TEACH = 50  # customers of an arm
FEWEST_EFFECTIVE = 100.0
N_FOLDS = 3
RELATIVE_CHANGES = (0.05, 0.1, 0.2)  # that the experiment which is proposed would find
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no number, what was found, and what would settle it."""

    code: str
    why: str
    figures: Mapping[str, Any]
    experiment: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "code": self.code,
            "why": self.why,
            "figures": dict(self.figures),
            "what_would_settle_it": dict(self.experiment),
        }


@dataclass(frozen=True, slots=True)
class Overlap:
    """How well arms overlap in what was known of customers before.

    Attributes:
        arms: customers' rows by arm.
        auc: of telling an arm's rows from the first arm's by what was known, the most of any arm; 0.5 is a lot.
        told: nats a row by which that tells arms apart beyond the declared probabilities; with its standard error.
        outside: the share of rows whose probability, arms made equally large, is outside 0.05–0.95.
        effective_n: by arm, how many rows the weighted ones are worth; of a targeted campaign, weighted by who really
            got what.
        telling: the features that tell arms apart most.
        is_inferred: whether probabilities are the arms' shares, as by lot, rather than declared.
        note: what was found wrong with the declared probabilities, and done about it; empty where nothing was.
        refusal: why there is no causal number; None where there may be one.
    """

    arms: Mapping[str, int]
    auc: float
    told: float
    told_error: float
    outside: float
    effective_n: Mapping[str, float]
    telling: tuple[str, ...]
    is_inferred: bool
    note: str = ""
    refusal: Refusal | None = field(default=None)

    def figures(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "n_by_arm": dict(self.arms),
            "auc": round(self.auc, 6),
            "nats_told": round(self.told, 6),
            "nats_told_standard_error": round(self.told_error, 6),
            "share_outside_0.05_0.95": round(self.outside, 6),
            "effective_n_by_arm": {arm: round(n, 1) for arm, n in self.effective_n.items()},
            "telling_features": list(self.telling),
            "probabilities": "inferred from the arms' shares" if self.is_inferred else "declared",
        }


def check_overlap(
    rows: ResponseRows,
    *,
    inputs: Sequence[str],
    categories: Collection[str] = (),
    names: Sequence[str] | None = None,
    seed: int = 0,
    fewest: int = FEWEST_IN_AN_ARM,
) -> tuple[ResponseRows, Overlap]:
    """The rows with the probabilities to be used, and whether a causal number may be made of them.

    Args:
        rows: of the arms in question; see `ResponseRows.between`.
        inputs: names of the columns of `rows.X`.
        categories: those of them whose numbers have no order.
        names: of the arms, in the order of `rows.actions`, for words; None for their action ids.
        seed: of LightGBM.
        fewest: customers that an arm must have; see `fewest_for`.

    Returns:
        The rows, with the arms' shares for probabilities where the declared ones are not what was drawn though the
        draw was by lot; and the overlap, with a refusal where there is one.
    """
    names = tuple(names or (action.action_id for action in rows.actions))
    n_by_arm = {name: int((rows.action == place).sum()) for place, name in enumerate(names)}
    customers = {name: len(np.unique(rows.cluster[rows.action == place])) for place, name in enumerate(names)}
    if min(customers.values()) < fewest:
        empty = Overlap(n_by_arm, 0.5, 0.0, 0.0, 0.0, dict.fromkeys(names, 0.0), (), rows.is_inferred)
        return rows, replace(empty, refusal=_too_few(rows, customers, fewest))
    modelled, telling = _who_got_what(rows, inputs=inputs, categories=categories, seed=seed)
    shares = np.array(list(n_by_arm.values()), dtype=np.float64) / len(rows)
    own = modelled[np.arange(len(rows)), rows.action]
    rows, note = _with_shares_where_off(rows, shares)
    told, error = _mean_by_customer(np.log(own) - np.log(rows.propensity), rows.cluster)
    is_told = told > max(MOST_TOLD, STANDARD_ERRORS * error)
    real = own if is_told else rows.propensity  # where the declared ones are not true, those that were seen
    overlap = Overlap(
        arms=n_by_arm,
        auc=_largest_auc(modelled, rows.action),
        told=told,
        told_error=error,
        outside=_outside(modelled / shares),
        effective_n={name: _effective(1.0 / real[rows.action == i]) for i, name in enumerate(names)},
        telling=telling,
        is_inferred=rows.is_inferred,
        note=note,
    )
    return rows, replace(overlap, refusal=_refusal(rows, overlap))


def fewest_for(test_share: float) -> int:
    """Customers that an arm must have, so that whichever share judges enough teach and some judge.

    Args:
        test_share: of customers who judge, above 0 and below 1.
    """
    n = FEWEST_IN_AN_ARM
    while True:
        spread = STANDARD_ERRORS * math.sqrt(n * test_share * (1.0 - test_share))
        if n * (1.0 - test_share) - spread >= FEWEST_TO_TEACH and n * test_share - spread >= 1.0:
            return n
        n += 10


def _refusal(rows: ResponseRows, overlap: Overlap) -> Refusal | None:
    if overlap.told > max(MOST_TOLD, STANDARD_ERRORS * overlap.told_error):
        return _targeted(rows, overlap)
    declared = float(((rows.propensity < LOW) | (rows.propensity > HIGH)).mean())
    worst = min(overlap.effective_n, key=lambda arm: overlap.effective_n[arm])
    if overlap.effective_n[worst] < FEWEST_EFFECTIVE or min(overlap.outside, declared) > MOST_OUTSIDE:
        return Refusal(
            "no_overlap",
            f"Customers hardly could have been in the other arm: weighted by the declared probabilities, the "
            f"{overlap.arms[worst]} rows of '{worst}' are worth {overlap.effective_n[worst]:.0f} (at least "
            f"{FEWEST_EFFECTIVE:.0f} are needed), and {overlap.outside:.0%} of all rows have a probability outside "
            f"{LOW}–{HIGH}. What the others would have done is not in this data.",
            overlap.figures(),
            _experiment(rows),
        )
    return None


def _targeted(rows: ResponseRows, overlap: Overlap) -> Refusal:
    by = ", ".join(f"'{name}'" for name in overlap.telling) or "what was known"
    basis = "by lot" if overlap.is_inferred else "with the declared probabilities"
    return Refusal(
        "targeted",
        f"This campaign was targeted: what was known of customers before it tells who was in which arm (AUC "
        f"{overlap.auc:.3f}, where a draw {basis} gives 0.5 or what was declared; most by {by}), and "
        f"{overlap.outside:.0%} of customers have a probability outside {LOW}–{HIGH}. Arms differ in more than the "
        "message, also in what nobody recorded, so no difference between them is its doing. If a feature among those "
        "named was written after the send, give it its real time; if the draw was uneven by design, declare each row's "
        "`action_probability`.",
        overlap.figures(),
        _experiment(rows),
    )


def _too_few(rows: ResponseRows, customers: Mapping[str, int], fewest: int) -> Refusal:
    arm = min(customers, key=lambda name: customers[name])
    return Refusal(
        "too_few_customers",
        f"Arm '{arm}' has {customers[arm]:,} customers; at least {fewest:,} in each are needed to learn from some and "
        "judge on others.",
        {"n_by_arm": dict(customers), "fewest": fewest},
        _experiment(rows),
    )


def _experiment(rows: ResponseRows) -> dict[str, Any]:
    """What would settle it: two arms by lot, as large as the outcome's noise demands."""
    mean, sd = float(rows.reward.mean()), float(rows.reward.std())
    sizes = {
        f"{change:.0%}": customers_needed(sd=sd, difference=change * abs(mean)) if mean and sd else None
        for change in RELATIVE_CHANGES
    }
    listed = ", ".join(f"{n:,} to find a change of {change}" for change, n in sizes.items() if n)
    needed = f" Customers in both arms together: {listed} of {mean:.4g} a customer." if listed else ""
    return {
        "design": "Before the next send, draw each customer's arm by lot, half and half (or with any probabilities "
        "that are written down as `action_probability`), keep everybody in the data whatever they got, and send the "
        f"message to the one arm only.{needed}",
        "customers_by_relative_change": sizes,
        "mean": mean,
        "sd": sd,
        "power": 0.8,
        "confidence": 0.95,
    }


def _with_shares_where_off(rows: ResponseRows, shares: Floats) -> tuple[ResponseRows, str]:
    """Probabilities that are the same for a whole arm, but not the share that it has, were not what was drawn."""
    usual = np.array([1.0 / (1.0 / rows.propensity[rows.action == arm]).mean() for arm in range(len(shares))])
    n = len(np.unique(rows.cluster))
    error = np.sqrt(shares * (1 - shares) / n)
    off = np.abs(usual - shares) > np.maximum(STANDARD_ERRORS * error, 0.01)
    if not off.any():
        return rows, ""
    said = ", ".join(f"{rows.actions[i].action_id} {usual[i]:.3f} (share {shares[i]:.3f})" for i in np.flatnonzero(off))
    note = f"Probabilities are not the shares that arms have: {said}. The shares are used, and called inferred."
    return replace(rows, propensity=shares[rows.action], is_inferred=True), note


def _who_got_what(
    rows: ResponseRows, *, inputs: Sequence[str], categories: Collection[str], seed: int
) -> tuple[Floats, tuple[str, ...]]:
    """P(each arm | x), shape `(n, n_arms)`, each row by fits that did not see its customer; and what tells most."""
    import lightgbm

    X = rows.X.astype(np.float64)
    fold = _fold_of(rows.cluster)
    n_arms = len(rows.actions)
    is_pair = n_arms == 2
    parameters = {
        "objective": "binary" if is_pair else "multiclass",
        **({} if is_pair else {"num_class": n_arms}),
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": 50,
        "lambda_l2": 10.0,
        **reproducible(seed=seed, threads=training_threads(X)),
    }
    category_places = [i for i, name in enumerate(inputs) if name in categories]
    said = np.empty((len(rows), n_arms))
    gains = np.zeros(len(inputs))
    for one in range(N_FOLDS):
        taught, asked = fold != one, fold == one
        data = lightgbm.Dataset(
            X[taught], rows.action[taught], categorical_feature=category_places, params={"verbose": -1}
        )
        booster = lightgbm.train(parameters, data, num_boost_round=60 if is_pair else 30)
        p = np.asarray(booster.predict(X[asked]))
        said[asked] = np.column_stack([1.0 - p, p]) if is_pair else p
        gains += booster.feature_importance("gain")
    best = np.argsort(-gains, kind="stable")[:3]
    telling = tuple(inputs[i] for i in best if gains[i] > 0)
    return np.clip(said, 1e-6, 1.0), telling


def _fold_of(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    spread = cluster.astype(np.uint64) * _SPREAD
    return ((spread >> np.uint64(33)) % np.uint64(N_FOLDS)).astype(np.int64)


def _largest_auc(modelled: Floats, action: NDArray[np.intp]) -> float:
    """Of each arm against the first."""
    from sklearn.metrics import roc_auc_score

    aucs = []
    for arm in range(1, modelled.shape[1]):
        pair = (action == arm) | (action == 0)
        score = np.log(modelled[pair, arm]) - np.log(modelled[pair, 0])
        aucs.append(float(roc_auc_score(action[pair] == arm, score)))
    return max(aucs)


def _outside(relative: Floats) -> float:
    """The share of rows where an arm, all arms made equally large, is outside LOW..HIGH against the first."""
    p = relative[:, 1:] / (relative[:, 1:] + relative[:, :1])
    return float(((p < LOW) | (p > HIGH)).any(axis=1).mean())


def _effective(weights: Floats) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum())


def _mean_by_customer(values: Floats, cluster: NDArray[np.int64]) -> tuple[float, float]:
    """The mean and its standard error, customers being the units."""
    _, place = np.unique(cluster, return_inverse=True)
    sums = np.bincount(place, weights=values - values.mean())
    n = len(sums)
    return float(values.mean()), math.sqrt(float((sums**2).sum()) * n / max(n - 1, 1)) / len(values)
