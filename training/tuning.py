"""Tuning the trees of next purchase with optuna: off unless asked for, within a budget, going on where it was left.

Design. A trial is judged by rolling cutoffs: for each of the newest three windows that are closed by `used_at`, trees
taught by what was closed before that window stop early on it, and the trial's figure is the mean log-loss there. The
level of a window is taken as known: calibration and season set it later, and trees shall not be chosen for guessing it.
Trials that are behind the median after a window are pruned. The window of the gate is later than all of these, so it
judges tuned trees as it judges any. What is found is one more recipe to choose from; it wins only where the whole model
is better for it by 0.002 nats, since the newest of these windows is also the one that chooses.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.calibration import log_odds
from training.dataset import Rows, Source, rows_of, training_threads
from training.declared import parameters_of
from training.heads import FEWEST_POSITIVES, newest_split
from training.recipes import RECIPES, TUNED, Recipe
from training.split import TooLittleData, gate_cutoff

if TYPE_CHECKING:
    import optuna

N_WINDOWS = 3
MOST_ROUNDS, PATIENCE = 400, 30
FEWEST_ROUNDS = 10
STARTUP_TRIALS = 5  # before anything is pruned
STUDIES_FILE = "tuning.db"
STATES = ("COMPLETE", "PRUNED")


@dataclass(frozen=True, slots=True)
class Budget:
    """When tuning a horizon ends: after so many trials in all, those of earlier runs included, or so much time now."""

    trials: int | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning a horizon found.

    Attributes:
        recipe: the best trial's.
        loss: its mean log-loss on the windows.
        loss_of_default: the best default recipe's there.
        n_trials: finished, pruned ones included, in all runs.
        n_pruned: of them.
        windows: where each window begins, the newest first.
    """

    recipe: Recipe
    loss: float
    loss_of_default: float
    n_trials: int
    n_pruned: int
    windows: tuple[datetime, ...]

    def metrics(self) -> dict[str, float]:
        """For a run's record."""
        return {
            "tuning_loss": self.loss,
            "tuning_loss_of_default": self.loss_of_default,
            "tuning_trials": float(self.n_trials),
            "tuning_pruned": float(self.n_pruned),
        }


def tune(
    source: Source, *, horizon_days: int, used_at: datetime, budget: Budget, studies: Path, seed: int = 0
) -> Tuned:
    """The best trees for a horizon that were found within the budget.

    Args:
        source: of snapshots and labels.
        horizon_days: of the label.
        used_at: nothing at or after it is looked at.
        budget: of this horizon.
        studies: the folder of `tuning.db`; a study of the same data and seed goes on there.
        seed: of the search and of LightGBM; with a budget of trials the same one finds the same.

    Raises:
        TooLittleData: no window closed by `used_at` can judge a trial.
    """
    import optuna

    folds = _folds(source, horizon_days=horizon_days, used_at=used_at)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    studies.mkdir(parents=True, exist_ok=True)
    name = _name(source, folds, horizon_days=horizon_days, seed=seed)
    storage = f"sqlite:///{studies / STUDIES_FILE}"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
    study = optuna.create_study(study_name=name, storage=storage, pruner=pruner, load_if_exists=True)
    until = None if budget.minutes is None else monotonic() + budget.minutes * 60.0
    while _is_left(budget, n := len(_finished(study)), until=until):
        _draw(study, n, seed=seed)
        study.optimize(lambda trial: _mean_loss(trial, source, folds, seed=seed), n_trials=1)
    return _found(study, folds)


def _is_left(budget: Budget, n_finished: int, *, until: float | None) -> bool:
    return (budget.trials is None or n_finished < budget.trials) and (until is None or monotonic() < until)


def _draw(study: optuna.Study, n_finished: int, *, seed: int) -> None:
    """The next trial follows from those that are finished: so a kill loses no default, and changes nothing."""
    import optuna

    study.sampler = optuna.samplers.TPESampler(seed=seed + n_finished, n_startup_trials=STARTUP_TRIALS)
    if n_finished < len(RECIPES) and not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
        study.enqueue_trial(_parameters(RECIPES[n_finished]))


@dataclass(frozen=True, slots=True)
class _Fold:
    """Rows that teach, and the rows of the later window that judge."""

    taught: Rows
    later: Rows


def _folds(source: Source, *, horizon_days: int, used_at: datetime) -> list[_Fold]:
    folds: list[_Fold] = []
    judge_at = gate_cutoff(used_at, horizon_days=horizon_days)
    while len(folds) < N_WINDOWS:
        try:
            split = newest_split(source, horizon_days=horizon_days, used_at=judge_at)
        except TooLittleData:
            if folds:
                break
            raise
        taught = rows_of(source, split.train, horizon_days=horizon_days)
        later = rows_of(source, [judge_at], horizon_days=horizon_days)
        if min(_fewest(taught), _fewest(later)) < FEWEST_POSITIVES:
            break
        folds.append(_Fold(taught, later))
        judge_at = gate_cutoff(judge_at, horizon_days=horizon_days)
    if not folds:
        raise TooLittleData(
            f"Asked to tune a {horizon_days}-day model, but no window closed by {used_at:%Y-%m-%d} has "
            f"{FEWEST_POSITIVES} customers who ordered and {FEWEST_POSITIVES} who did not. Train it without tuning."
        )
    return folds


def _fewest(rows: Rows) -> int:
    n_positive = int(rows.y.sum())
    return min(n_positive, len(rows.y) - n_positive)


def _mean_loss(trial: optuna.Trial, source: Source, folds: Sequence[_Fold], *, seed: int) -> float:
    import optuna

    recipe = Recipe(
        TUNED,
        num_leaves=trial.suggest_int("num_leaves", 3, 48, log=True),
        rounds=MOST_ROUNDS,
        min_data_in_leaf=trial.suggest_int("min_data_in_leaf", 10, 300, log=True),
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.15, log=True),
    )
    losses: list[float] = []
    rounds: list[int] = []
    for step, fold in enumerate(folds):
        loss, best = _stopped_early(recipe, fold, source, seed=seed)
        losses.append(loss)
        rounds.append(best)
        trial.report(float(np.mean(losses)), step)
        if step + 1 < len(folds) and trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("rounds", max(round(float(np.mean(rounds))), FEWEST_ROUNDS))
    return float(np.mean(losses))


def _stopped_early(recipe: Recipe, fold: _Fold, source: Source, *, seed: int) -> tuple[float, int]:
    """The least log-loss on the later window, its level taken as known, and after how many trees that is."""
    categorical = [place for place, name in enumerate(source.inputs) if name in source.categories]
    X = fold.taught.X.astype(np.float64)
    # Both start at their own rate: what is left to learn is who, not how many.
    taught = lightgbm.Dataset(
        X, fold.taught.y, init_score=_level(fold.taught.y), categorical_feature=categorical, params={"verbose": -1}
    )
    later = lightgbm.Dataset(
        fold.later.X.astype(np.float64), fold.later.y, init_score=_level(fold.later.y), reference=taught
    )
    parameters: dict[str, Any] = recipe.parameters(seed=seed, threads=training_threads(X)) | parameters_of(source)
    booster = lightgbm.train(
        parameters | {"metric": "binary_logloss"},
        taught,
        num_boost_round=recipe.rounds,
        valid_sets=[later],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return float(booster.best_score["valid_0"]["binary_logloss"]), int(booster.best_iteration)


def _level(y: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.full(len(y), float(log_odds(np.array([y.mean()]))[0]))


def _parameters(recipe: Recipe) -> dict[str, Any]:
    names = ("num_leaves", "min_data_in_leaf", "learning_rate")
    return {name: getattr(recipe, name) for name in names}


def _name(source: Source, folds: Sequence[_Fold], *, horizon_days: int, seed: int) -> str:
    """The same for the same data, windows, seed and constraints: then trials are worth the same."""
    of: Mapping[str, Any] = {
        "fingerprint": source.fingerprint(),
        "schema": source.schema_version,
        "windows": [fold.later.as_ofs[0].isoformat() for fold in folds],
        "parameters": parameters_of(source),
        "seed": seed,
    }
    return f"next_purchase_{horizon_days}d_{hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]}"


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in STATES]


def _found(study: optuna.Study, folds: Sequence[_Fold]) -> Tuned:
    finished = _finished(study)
    whole = [trial for trial in finished if trial.state.name == "COMPLETE" and trial.value is not None]
    if not whole:
        raise TooLittleData("Asked to tune, but the budget ended before one trial was whole. Give it more time.")
    best = min(whole, key=lambda trial: (trial.value or 0.0, trial.number))
    default = [trial.value for trial in whole if trial.params in [_parameters(recipe) for recipe in RECIPES]]
    return Tuned(
        Recipe(TUNED, rounds=int(best.user_attrs["rounds"]), **best.params),
        loss=float(best.value or 0.0),
        loss_of_default=min((float(value) for value in default if value is not None), default=float("nan")),
        n_trials=len(finished),
        n_pruned=len(finished) - len(whole),
        windows=tuple(fold.later.as_ofs[0] for fold in folds),
    )


def tune_horizons(
    source: Source, *, horizons_days: Sequence[int], budget: Budget, studies: Path, seed: int = 0
) -> dict[int, Tuned]:
    """Each horizon that can be tuned before its gate's window; a budget of minutes is shared between them."""
    share = None if budget.minutes is None else budget.minutes / len(horizons_days)
    found = {}
    for horizon in sorted(horizons_days):
        used_at = gate_cutoff(source.known_until, horizon_days=horizon)
        if used_at <= source.first + timedelta(days=horizon):
            continue
        try:
            found[horizon] = tune(
                source,
                horizon_days=horizon,
                used_at=used_at,
                budget=Budget(budget.trials, share),
                studies=studies,
                seed=seed,
            )
        except TooLittleData:  # training says by itself what is missing
            continue
    return found
