"""A horizon of which no window is closed: models that need no labels, beside what a shorter window teaches of it.

The mean of the models of repeat buying, half corrected by what they missed in the newest closed window, is what is
used unless something else is better beyond noise: one of them alone, the whole correction, or a lesson carried to the
horizon. Trees, who know nothing of customers older than any they saw, speak alone only where that is better beyond
noise than the mean of them and the others too. All are tried on the newer half of what is known, standing where it
begins with what was known then, by the same steps as where they are used: so what is shipped was judged, if on a
shorter horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray, from_log_odds, log_odds
from training.carrying import Carry
from training.correcting import fit_correction
from training.dataset import Rows, Source, rows_of
from training.declared import binds
from training.evaluation import log_losses
from training.fitting import FEWEST_BUYERS, fit_repeat_buying
from training.heads import Head, finisher, lesson_of
from training.labels import label_window
from training.linear import Linear, columns_for
from training.members import LINEAR, TREES, Customers, Memoryless
from training.next_purchase import fit_head
from training.recipes import NO_SEASON, RECIPES, REPEAT_MODELS
from training.repeat_buying import PARETO_NBD, loses_nobody
from training.split import WEEK, Split, TooLittleData
from training.voices import Asked, Carried, Curves, Mean, Voice, probability_of

LEAST_GAIN = 0.002  # nats that anything must win by to replace what is used else
ERRORS_BEYOND = 2.0  # standard errors of the paired difference: four alternatives are looked at
HALF = 0.5  # of the correction: whose level is right about the coming time, no closed window says
UNTRIED = "nothing that is closed could choose: the default"
MEAN, CORRECTED, REGRESSION_CARRIED, TREES_CARRIED = "half corrected", "corrected", "with a regression", "trees"
TOGETHER = "trees with a regression"


@dataclass(frozen=True, slots=True)
class ShortHead:
    """A horizon that nothing of its length has taught.

    Attributes:
        split: the newer half of what is known, on which it was tried.
        voice: what speaks.
        because: how it was found, for people.
    """

    horizon_days: int
    split: Split
    inputs: tuple[str, ...]
    voice: Voice
    because: str

    def predict(self, X: NDArray[np.float32]) -> FloatArray:
        """Probabilities, shape `(n,)`, of rows with the inputs it was fitted on."""
        return probability_of(self.voice, Asked(X, self.inputs))

    @property
    def shipped(self) -> str:
        """What it is made of, for people."""
        return self.voice.name


def best_head(source: Source, *, horizon_days: int, used_at: datetime, seed: int = 0) -> Head | ShortHead:
    """One horizon by labels where a window of its length is closed, and without them where none is.

    Args:
        source: of snapshots and labels.
        horizon_days: of what is asked.
        used_at: nothing known later is used.
        seed: of LightGBM.

    Raises:
        TooLittleData: there is not even a fortnight of orders, or there are too few buyers.
    """
    try:
        return fit_head(source, horizon_days=horizon_days, used_at=used_at, seed=seed)
    except TooLittleData:
        return head_without_window(source, horizon_days=horizon_days, used_at=used_at, seed=seed)


def head_without_window(source: Source, *, horizon_days: int, used_at: datetime, seed: int) -> ShortHead:
    """One horizon that no window is long enough, or has enough in it, to teach; see `best_head`."""
    here = Standing(source, horizon_days, used_at, seed)
    _require_enough(here)
    there = Standing(source, here.taught_days, here.window.calibrate, seed)
    losses = _tried(there) if there.taught_days >= WEEK and there.curves else {}
    voices = here.voices
    for name in _ranked(losses):
        if name in voices:
            return here.head(voices[name], _because(here, losses, name))
    return here.head(voices[MEAN], UNTRIED)


@dataclass(frozen=True)
class Standing:
    """Where a head stands: what is known there, and how far ahead it looks."""

    source: Source
    horizon_days: int
    used_at: datetime
    seed: int

    @property
    def taught_days(self) -> int:
        """The longest horizon, at most the one asked for, that what is known has room for twice; in whole weeks."""
        half = (self.used_at - self.source.first) // timedelta(days=2 * WEEK) * WEEK
        return min(half, self.horizon_days)

    @cached_property
    def window(self) -> Split:
        """The newer half of what is known."""
        return Split(self.taught_days, (self.used_at - timedelta(days=self.taught_days),), self.used_at)

    @cached_property
    def curves(self) -> dict[str, Memoryless]:
        """Models of repeat buying fitted to everything that is known."""
        return self._curves(self.used_at)

    @property
    def voices(self) -> dict[str, Voice]:
        """Everything that can speak here, by what it is called in a choice; the first is used if nothing is better."""
        history = Customers(self.source.snapshot(self.used_at).X, self.source.inputs).history()
        came_back = bool((history.x > 0).any())
        every = Curves(tuple(self.curves.values()), self.horizon_days, self._silent, self._missed, HALF, came_back)
        whole = replace(every, believed=1.0)
        found: dict[str, Voice] = {MEAN: every}
        for kind, model in self.curves.items():
            if not loses_nobody(model, history):
                found[kind] = Curves((model,), self.horizon_days, self._silent, came_back=came_back)
        if every.missed is not None:
            found[CORRECTED] = whole
        if self._finish is not None:
            found[REGRESSION_CARRIED] = Mean((self._carried(LINEAR), whole))
            found[TREES_CARRIED] = self._carried(TREES)
            found[TOGETHER] = Mean((found[TREES_CARRIED], found[REGRESSION_CARRIED]))
        return found

    def head(self, voice: Voice, because: str) -> ShortHead:
        """The head that this voice makes."""
        return ShortHead(self.horizon_days, self.window, tuple(self.source.inputs), voice, because)

    def _carried(self, member: str) -> Carried:
        recipe = replace(RECIPES[0], members=(member,), calibration="shift", season=NO_SEASON)
        if self._finish is None:
            raise TooLittleData("Nothing can be taught here.")
        curve = self.curves.get(PARETO_NBD) or next(iter(self.curves.values()))
        return Carried(self._finish(recipe), Carry(self.taught_days, self.horizon_days, curve))

    @cached_property
    def _finish(self) -> Callable[..., Head] | None:
        try:
            lesson = lesson_of(self.source, horizon_days=self.taught_days, used_at=self.used_at)
        except TooLittleData:
            return None
        return finisher(lesson, RECIPES[0], seed=self.seed)

    @cached_property
    def _rows(self) -> Rows:
        return rows_of(self.source, [self.window.calibrate], horizon_days=self.taught_days)

    @cached_property
    def _missed(self) -> Linear | None:
        """What the models, fitted where the newer half begins, missed of it; None where they cannot be."""
        columns, curves = columns_for(self.source.inputs), self._curves(self.window.calibrate)
        if not curves or not columns or binds(self.source, (name for column in columns for name in column[1:])):
            return None
        customers, y = Customers(self._rows.X, self.source.inputs), self._rows.y
        bought = customers.bought()
        said = Curves(tuple(curves.values()), self.taught_days, 0.0).log_odds_of(Asked(self._rows.X, self._inputs))
        return fit_correction(customers.design(columns)[bought], y[bought], said=said[bought], columns=columns)

    @cached_property
    def _silent(self) -> float:
        """Log-odds of those who never bought: their rate in the newer half, as long as the horizon."""
        never = ~Customers(self._rows.X, self.source.inputs).bought()
        rate = (float(self._rows.y[never].sum()) + 0.5) / (int(never.sum()) + 1.0)
        longer = 1.0 - (1.0 - rate) ** (self.horizon_days / self.taught_days)
        return round(float(log_odds(np.array([longer]))[0]), 9)

    @property
    def _inputs(self) -> tuple[str, ...]:
        return tuple(self.source.inputs)

    def _curves(self, as_of: datetime) -> dict[str, Memoryless]:
        with np.errstate(all="ignore"):
            fitted = {kind: fit_repeat_buying(self.source, as_of, kind=kind) for kind in REPEAT_MODELS}
        return {kind: model for kind, model in fitted.items() if isinstance(model, Memoryless)}


def _require_enough(here: Standing) -> None:
    asked = f"Asked for a {here.horizon_days}-day model as of {here.used_at:%Y-%m-%d}, but "
    if here.taught_days < 1:
        raise TooLittleData(
            f"{asked}orders begin on {here.source.first:%Y-%m-%d}. It needs {2 * WEEK} days of orders, to be tried on "
            "the newer half of them.",
            ready=here.source.first + timedelta(days=2 * WEEK),
        )
    if not here.curves:
        raise TooLittleData(
            f"{asked}no window of that length is closed that could teach it, and a model of repeat buying needs "
            f"{FEWEST_BUYERS} customers with an order. Import more, or ask for a shorter horizon."
        )


def _tried(there: Standing) -> dict[str, FloatArray]:
    """Each voice's log-losses on the window that follows where it stands."""
    rows = rows_of(there.source, [there.used_at], horizon_days=there.horizon_days)
    asked = Asked(rows.X, tuple(there.source.inputs))
    return {name: log_losses(rows.y, from_log_odds(voice.log_odds_of(asked))) for name, voice in there.voices.items()}


def _ranked(losses: Mapping[str, FloatArray]) -> list[str]:
    """The voices, best first: what is used else goes before all that are not better beyond noise."""

    def at_best(name: str) -> float:
        return float(losses[name].mean()) + (0.0 if name == MEAN else _doubt(losses[MEAN] - losses[name]))

    ranked = sorted(losses, key=at_best)
    if ranked[0] == TREES_CARRIED and TOGETHER in losses:
        gain = losses[TOGETHER] - losses[TREES_CARRIED]
        if float(gain.mean()) <= _doubt(gain):
            return [TOGETHER, *(name for name in ranked if name != TOGETHER)]
    return ranked


def _doubt(gain: FloatArray) -> float:
    """What a gain on the window that chooses must be more than, in nats, shape of the gain `(n,)`."""
    return LEAST_GAIN + ERRORS_BEYOND * float(gain.std()) / float(np.sqrt(len(gain)))


def _because(here: Standing, losses: Mapping[str, FloatArray], name: str) -> str:
    window = label_window(here.window.calibrate, here.taught_days)
    others = ", ".join(f"{other} {float(loss.mean()):.4f}" for other, loss in losses.items() if other != name)
    return (
        f"no window of {here.horizon_days} days is closed that could teach; chosen on the held-back {here.taught_days} "
        f"days {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}: log-loss {float(losses[name].mean()):.4f}"
        + (f" ({others})" if others else "")
    )
