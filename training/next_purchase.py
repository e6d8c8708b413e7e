"""Next purchase: P(an order within each horizon), a mean of members and a calibration a horizon.

For each horizon the recipe (which trees, which members, which calibration, whether season) is chosen on an earlier
window and judged on the newest closed one, which chose and calibrated nothing; then it is fitted once more, up to the
newest closed window. Where fewer members do better on the window that chooses, those are shipped, and model.json says
so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.artifact import NEXT_PURCHASE
from training.calibration import FloatArray
from training.choosing import choose
from training.dataset import Source, rows_of
from training.evaluation import Quality, log_losses, quality
from training.heads import FEWEST_POSITIVES as FEWEST_POSITIVES
from training.heads import Head as Head
from training.heads import finisher, lesson_of, newest_split, require_both
from training.labels import label_window
from training.members import TREES
from training.recipes import NO_SEASON
from training.recipes import RECIPES as RECIPES
from training.recipes import Recipe as Recipe
from training.some_customers import who_taught
from training.split import TooLittleData, gate_cutoff
from training.trusted_season import knows_season

Labels = NDArray[np.uint8]


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
class JudgedAmounts:
    """Expected order-days or spend on the newest closed window, by a fit that knew nothing of it.

    Attributes:
        customer_keys: of those who had ordered by then, rising, shape `(n,)`.
        said: likewise.
        happened: likewise.
    """

    horizon_days: int
    as_of: datetime
    customer_keys: NDArray[np.int64]
    said: FloatArray
    happened: FloatArray


@dataclass(frozen=True, slots=True)
class Trained:
    """A model ready to be written, what it was judged by, and the horizons that there is too little data for.

    Attributes:
        amounts: what expected `orders` and `spend` were judged by, where there are any.
    """

    description: dict[str, Any]
    heads: list[Head]
    judged: list[Judged]
    refused: dict[int, str] = field(default_factory=dict)
    other_boosters: tuple[str, ...] = ()
    amounts: Mapping[str, JudgedAmounts] = field(default_factory=dict)

    @property
    def boosters(self) -> list[str]:
        """LightGBM's text of each head that has trees, then of what stands beside the heads."""
        of_heads = (head.booster.model_to_string() for head in self.heads if head.booster is not None)
        return [*of_heads, *self.other_boosters]


def train_next_purchase(
    source: Source,
    *,
    horizons_days: Sequence[int],
    seed: int = 0,
    tuned: Mapping[int, Recipe] | None = None,
) -> Trained:
    """Chooses, judges and refits every horizon that there is enough data for.

    Args:
        source: of snapshots and labels.
        horizons_days: of the labels.
        seed: of LightGBM.
        tuned: one more recipe to choose from, by horizon.

    Raises:
        TooLittleData: there is not one; with what each needs, and when that will be there.
    """
    heads, judged, refused = [], [], {}
    source.prepare(cutoffs_of(source, horizons_days=horizons_days))
    for horizon in sorted(horizons_days):
        try:
            more = (tuned[horizon],) if tuned and horizon in tuned else ()
            head, verdict = _train_horizon(source, horizon, seed=seed, candidates=(*RECIPES, *more))
        except TooLittleData as reason:
            refused[horizon] = str(reason)
            continue
        heads.append(head)
        judged.append(verdict)
    if not heads:
        raise TooLittleData("No horizon can be learned yet.\n" + "\n".join(f"  - {r}" for r in refused.values()))
    return Trained(_describe(source, heads, judged, refused, seed=seed), heads, judged, refused)


def fit_head(
    source: Source,
    *,
    horizon_days: int,
    used_at: datetime,
    recipe: Recipe | None = None,
    seed: int = 0,
    candidates: Sequence[Recipe] = RECIPES,
    is_tried: bool = False,
) -> Head:
    """One horizon, fitted with nothing known at or after `used_at`.

    Args:
        source: of snapshots and labels.
        horizon_days: of the label.
        used_at: where the head will stand when it is judged or used.
        recipe: what it is made of; None to choose it on an earlier window.
        seed: of LightGBM.
        candidates: what is chosen from.
        is_tried: it will be judged, not served: where there are many customers, one fit does.

    Raises:
        TooLittleData: with what is needed and when that will be there.
    """
    lesson = lesson_of(source, horizon_days=horizon_days, used_at=used_at, is_tried=is_tried)
    because = f"{'judged' if is_tried else 'served'} is what was taught by {who}" if (who := lesson.taught_by) else ""
    if recipe is None:
        choice = choose(source, horizon_days=horizon_days, used_at=used_at, seed=seed, candidates=candidates)
        recipe, because = choice.recipe, "; ".join(filter(None, (choice.because, because)))
    return replace(finisher(lesson, recipe, seed=seed)(recipe), because=because)


def choose_recipe(source: Source, *, horizon_days: int, used_at: datetime, seed: int) -> Recipe:
    """The recipe that a window closed by `used_at` finds best."""
    return choose(source, horizon_days=horizon_days, used_at=used_at, seed=seed).recipe


def cutoffs_of(source: Source, *, horizons_days: Sequence[int]) -> list[datetime]:
    """Every cutoff that training these horizons will look at, so that their snapshots can be made in one pass."""
    cutoffs: set[datetime] = set()
    for horizon in horizons_days:
        used_at = source.known_until
        for _ in range(3):  # to serve, to be judged, to be chosen
            with contextlib.suppress(TooLittleData):
                split = newest_split(source, horizon_days=horizon, used_at=used_at)
                cutoffs |= {used_at, split.calibrate, *split.train}
            used_at = gate_cutoff(used_at, horizon_days=horizon)
    return sorted(cutoffs)


def _train_horizon(
    source: Source, horizon_days: int, *, seed: int, candidates: Sequence[Recipe]
) -> tuple[Head, Judged]:
    judge_at = gate_cutoff(source.known_until, horizon_days=horizon_days)
    try:
        early = fit_head(
            source, horizon_days=horizon_days, used_at=judge_at, seed=seed, candidates=candidates, is_tried=True
        )
    except TooLittleData as reason:
        judged_on = f": train on {reason.ready + (source.known_until - judge_at):%Y-%m-%d}" if reason.ready else ""
        message = f"{reason} Another {horizon_days} days then show whether it is any good{judged_on}."
        raise TooLittleData(message) from reason
    rows = rows_of(source, [judge_at], horizon_days=horizon_days)
    require_both(rows, early.split)
    known = rows_of(source, [early.split.calibrate], horizon_days=horizon_days)
    verdict = Judged(horizon_days, judge_at, rows.y, early.predict(rows.X), float(known.y.mean()), early)
    # A season that the judging window did not know has been judged by nobody, and is not served.
    recipe = early.recipe if knows_season(source, early.split) else replace(early.recipe, season=NO_SEASON)
    final = fit_head(source, horizon_days=horizon_days, used_at=source.known_until, recipe=recipe, seed=seed)
    because = "; ".join(filter(None, (early.because, final.because)))
    return replace(final, because=because), verdict


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
    } | who_taught(source)


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
    leaving = {} if head.leaving is None else {"leaving": asdict(head.leaving)}
    return {
        "horizon_days": head.horizon_days,
        "calibration": head.calibration.as_dict(),
        "season": head.season,
        **leaving,
        "members": head.members.as_dict(),
        "recipe": asdict(head.recipe) | {"members": list(head.recipe.members)},
        "shipped": head.shipped,
        "because": head.because,
        "windows": head.split.windows() | {"judge": [label_window(verdict.as_of, head.horizon_days).as_list()]},
        "judged": verdict.quality().as_dict() | {"log_loss_of_constant": round(verdict.loss_of_constant(), 6)},
    }
