"""Next purchase: P(an order within each horizon), a mean of members and a calibration a horizon.

For each horizon the recipe (which trees, which members, which calibration, whether season) is chosen on an earlier
window and judged on the newest closed one, which chose and calibrated nothing; then it is fitted once more, up to the
newest closed window. Where fewer members do better on the window that chooses, those are shipped, and model.json says
so.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.artifact import NEXT_PURCHASE
from training.calibration import KINDS, Calibration, FloatArray, busier, fit_calibration
from training.dataset import Rows, Source, rows_of
from training.evaluation import Quality, log_losses, quality
from training.fitting import Lesson
from training.labels import label_window
from training.members import LINEAR, REPEAT_BUYING, TREES, Customers, Members
from training.season import season_multiplier
from training.split import Split, TooLittleData, gate_cutoff, split_for

FEWEST_POSITIVES = 30  # in any window that teaches or judges: below it one customer moves the rate by 3%
HARM_OF_SEASON = 0.002  # nats: season is given up only where it did harm, for a calm window shows nothing of it
HARM_OF_A_MEMBER = 0.002  # nats: so is a member; less than this is noise on windows of some thousand customers
N_CUTOFFS = 2  # more of them blur the season: four ranked worse on three of the four cuts
EVERY_MEMBER = (TREES, LINEAR, REPEAT_BUYING)
MEMBERS = (EVERY_MEMBER, (TREES, LINEAR), (LINEAR, REPEAT_BUYING), (TREES,), (LINEAR,), (REPEAT_BUYING,))
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a fit is made of; chosen on earlier windows."""

    name: str
    num_leaves: int
    rounds: int
    min_data_in_leaf: int
    learning_rate: float = 0.05
    calibration: str = "platt"
    season: bool = True
    members: tuple[str, ...] = EVERY_MEMBER

    def parameters(self, *, seed: int, threads: int) -> dict[str, Any]:
        """LightGBM's, such that the same seed and data give the same bytes."""
        return {
            "objective": "binary",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "verbose": -1,
        }


RECIPES = (
    Recipe("shallow", num_leaves=4, rounds=150, min_data_in_leaf=40),
    Recipe("deeper", num_leaves=12, rounds=120, min_data_in_leaf=60),
)


@dataclass(frozen=True, slots=True)
class Head:
    """One fitted horizon."""

    horizon_days: int
    recipe: Recipe
    split: Split
    inputs: tuple[str, ...]
    booster: lightgbm.Booster | None  # None where the trees are no member
    members: Members
    calibration: Calibration
    season: float = 1.0  # how much more often they order than in the window that calibrated

    def predict(self, X: NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities, shape `(n,)`, of rows with the inputs it was fitted on."""
        rows = X.astype(np.float64)
        trees = None
        if self.booster is not None:
            trees = np.asarray(self.booster.predict(rows, raw_score=True, num_threads=2), dtype=np.float64)
        scores = self.members.scores(Customers(rows, self.inputs), trees)
        return busier(self.calibration.apply(scores), self.season)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the newest closed window says of a fit that knew nothing of it."""

    horizon_days: int
    as_of: datetime
    y: Labels
    probability: FloatArray
    constant: float  # the base rate known when the fit was made
    head: Head | None = None  # the fit itself, to be asked of the same window by other inputs

    def quality(self) -> Quality:
        """Of the fit."""
        return quality(self.y, self.probability)

    def loss_of_constant(self) -> float:
        """Mean log-loss of saying the known base rate of everybody."""
        return float(log_losses(self.y, np.full(len(self.y), self.constant)).mean())


@dataclass(frozen=True, slots=True)
class Trained:
    """A model ready to be written, what it was judged by, and the horizons that there is too little data for."""

    description: dict[str, Any]
    heads: list[Head]
    judged: list[Judged]
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def boosters(self) -> list[str]:
        """LightGBM's text of each head that has trees."""
        return [head.booster.model_to_string() for head in self.heads if head.booster is not None]


def train_next_purchase(source: Source, *, horizons_days: Sequence[int], seed: int = 0) -> Trained:
    """Chooses, judges and refits every horizon that there is enough data for.

    Raises:
        TooLittleData: there is not one; with what each needs, and when that will be there.
    """
    heads, judged, refused = [], [], {}
    source.prepare(cutoffs_of(source, horizons_days=horizons_days))
    for horizon in sorted(horizons_days):
        try:
            head, verdict = _train_horizon(source, horizon, seed=seed)
        except TooLittleData as reason:
            refused[horizon] = str(reason)
            continue
        heads.append(head)
        judged.append(verdict)
    if not heads:
        raise TooLittleData("No horizon can be learned yet.\n" + "\n".join(f"  - {r}" for r in refused.values()))
    return Trained(_describe(source, heads, judged, refused, seed=seed), heads, judged, refused)


def fit_head(
    source: Source, *, horizon_days: int, used_at: datetime, recipe: Recipe | None = None, seed: int = 0
) -> Head:
    """One horizon, fitted with nothing known at or after `used_at`.

    Args:
        source: of snapshots and labels.
        horizon_days: of the label.
        used_at: where the head will stand when it is judged or used.
        recipe: what it is made of; None to choose it on an earlier window.
        seed: of LightGBM.

    Raises:
        TooLittleData: with what is needed and when that will be there.
    """
    chosen = recipe or choose_recipe(source, horizon_days=horizon_days, used_at=used_at, seed=seed)
    lesson = _lesson(source, horizon_days=horizon_days, used_at=used_at)
    return _finisher(lesson, chosen, seed=seed)(chosen)


def choose_recipe(source: Source, *, horizon_days: int, used_at: datetime, seed: int) -> Recipe:
    """The recipe with the smallest log-loss on the newest window closed by `used_at`; the first where there is none."""
    judge_at = gate_cutoff(used_at, horizon_days=horizon_days)
    try:
        lesson = _lesson(source, horizon_days=horizon_days, used_at=judge_at)
    except TooLittleData:
        return RECIPES[0]
    rows = rows_of(source, [judge_at], horizon_days=horizon_days)
    tried: list[tuple[float, Recipe]] = []
    for base in RECIPES:
        finish = _finisher(lesson, base, seed=seed)
        for members, season, kind in itertools.product(MEMBERS, (True, False), KINDS):
            recipe = replace(base, members=members, calibration=kind, season=season)
            loss = float(log_losses(rows.y, finish(recipe).predict(rows.X)).mean())
            handicap = HARM_OF_SEASON * (not season) + HARM_OF_A_MEMBER * (members != EVERY_MEMBER)
            tried.append((loss + handicap, recipe))
    return min(tried, key=lambda one: one[0])[1]


def _lesson(source: Source, *, horizon_days: int, used_at: datetime) -> Lesson:
    split = _split(source, horizon_days=horizon_days, used_at=used_at)
    return Lesson(source, split, check=partial(_require_both, split=split))


def _finisher(lesson: Lesson, trees: Recipe, *, seed: int) -> Callable[[Recipe], Head]:
    """A fit that any members, calibration and season can finish: the trees do not depend on them."""
    source, split = lesson.source, lesson.split
    fitted = lesson.fit(trees, seed=seed)
    season = season_multiplier(
        source.n_orders,
        calibrate=split.calibrate,
        used_at=split.used_at,
        horizon_days=split.horizon_days,
        first=source.first,
    )

    def finish(recipe: Recipe) -> Head:
        names = tuple(name for name in recipe.members if name in fitted.out_of_fold) or (TREES,)
        members, scores = fitted.members(names)
        calibration = fit_calibration(scores, fitted.y, kind=recipe.calibration)
        booster = fitted.booster if TREES in names else None
        multiplier = season if recipe.season else 1.0
        made = replace(recipe, members=names)
        return Head(split.horizon_days, made, split, tuple(source.inputs), booster, members, calibration, multiplier)

    return finish


def cutoffs_of(source: Source, *, horizons_days: Sequence[int]) -> list[datetime]:
    """Every cutoff that training these horizons will look at, so that their snapshots can be made in one pass."""
    cutoffs: set[datetime] = set()
    for horizon in horizons_days:
        used_at = source.known_until
        for _ in range(3):  # to serve, to be judged, to be chosen
            with contextlib.suppress(TooLittleData):
                split = _split(source, horizon_days=horizon, used_at=used_at)
                cutoffs |= {used_at, split.calibrate, *split.train}
            used_at = gate_cutoff(used_at, horizon_days=horizon)
    return sorted(cutoffs)


def _train_horizon(source: Source, horizon_days: int, *, seed: int) -> tuple[Head, Judged]:
    judge_at = gate_cutoff(source.known_until, horizon_days=horizon_days)
    try:
        early = fit_head(source, horizon_days=horizon_days, used_at=judge_at, seed=seed)
    except TooLittleData as reason:
        judged_on = f": train on {reason.ready + (source.known_until - judge_at):%Y-%m-%d}" if reason.ready else ""
        message = f"{reason} Another {horizon_days} days then show whether it is any good{judged_on}."
        raise TooLittleData(message) from reason
    rows = rows_of(source, [judge_at], horizon_days=horizon_days)
    _require_both(rows, early.split)
    known = rows_of(source, [early.split.calibrate], horizon_days=horizon_days)
    verdict = Judged(horizon_days, judge_at, rows.y, early.predict(rows.X), float(known.y.mean()), early)
    final = fit_head(source, horizon_days=horizon_days, used_at=source.known_until, recipe=early.recipe, seed=seed)
    return final, verdict


def _split(source: Source, *, horizon_days: int, used_at: datetime) -> Split:
    return split_for(
        used_at,
        horizon_days=horizon_days,
        first=source.first,
        n_cutoffs=N_CUTOFFS,
        anchor=gate_cutoff(source.known_until, horizon_days=21),
    )


def _require_both(rows: Rows, split: Split) -> None:
    n_positive = int(rows.y.sum())
    fewest = min(n_positive, len(rows.y) - n_positive)
    if fewest >= FEWEST_POSITIVES:
        return
    which = "ordered" if fewest == n_positive else "did not order"
    times = "once there are orders" if not fewest else f"with {FEWEST_POSITIVES / fewest:.1f} times as many customers"
    raise TooLittleData(
        f"Asked for a {split.horizon_days}-day model as of {split.used_at:%Y-%m-%d}, but only {fewest} of "
        f"{len(rows.y)} customers {which} within {split.horizon_days} days of {max(rows.as_ofs):%Y-%m-%d}. "
        f"It needs {FEWEST_POSITIVES} of either kind in each window: that suffices {times}, or with a longer horizon."
    )


def _describe(
    source: Source, heads: Sequence[Head], judged: Sequence[Judged], refused: Mapping[int, str], *, seed: int
) -> dict[str, Any]:
    return {
        "name": NEXT_PURCHASE,
        "as_of": source.known_until.isoformat(),
        "inputs": list(source.inputs),
        "categories": {name: list(values) for name, values in source.categories.items()},
        "schema_version": source.schema_version,
        "fingerprint": source.fingerprint(),
        "seed": seed,
        "heads": number_boosters([_describe_head(*one) for one in zip(heads, judged, strict=True)]),
        "refused": {str(horizon): reason for horizon, reason in refused.items()},
    }


def number_boosters(heads: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The described heads, each with the place of its booster among the files; None where trees are no member."""
    numbered: list[dict[str, Any]] = []
    n_boosters = 0
    for head in heads:
        has_trees = TREES in head["recipe"]["members"]
        numbered.append(dict(head) | {"booster": n_boosters if has_trees else None})
        n_boosters += has_trees
    return numbered


def _describe_head(head: Head, verdict: Judged) -> dict[str, Any]:
    return {
        "horizon_days": head.horizon_days,
        "calibration": head.calibration.as_dict(),
        "season": head.season,
        "members": head.members.as_dict(),
        "recipe": asdict(head.recipe) | {"members": list(head.recipe.members)},
        "windows": head.split.windows() | {"judge": [label_window(verdict.as_of, head.horizon_days).as_list()]},
        "judged": verdict.quality().as_dict() | {"log_loss_of_constant": round(verdict.loss_of_constant(), 6)},
    }
