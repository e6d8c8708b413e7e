"""Which windows a model may learn from, be calibrated on, and be judged on: by time only.

The rule, which `Split` refuses to break: the labels of whatever teaches are closed by the as_of of whatever they are
judged on. Training rows come first, then the later window that calibrates, then the one that judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from features.faults import CallersMistake
from training.labels import Window, label_window

STEP_DAYS = 28  # between training cutoffs: four whole weeks, so that every cutoff falls on the same weekday
WEEK = 7


class TooLittleData(CallersMistake):
    """There is not enough to learn from yet; the message says what is needed and when there will be enough.

    Args:
        message: for people.
        ready: when there will be enough, where that is known.
    """

    def __init__(self, message: str, *, ready: datetime | None = None) -> None:
        super().__init__(message)
        self.ready = ready


@dataclass(frozen=True, slots=True)
class Split:
    """The cutoffs of one fit: trained on some, calibrated on a later one, to be used as of `used_at`."""

    horizon_days: int
    train: tuple[datetime, ...]  # newest first
    calibrate: datetime
    used_at: datetime

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("A split trains on at least one cutoff.")
        if not label_window(max(self.train), self.horizon_days).is_closed_by(self.calibrate):
            raise ValueError(f"Training as of {max(self.train)} looks past the calibration's as_of {self.calibrate}.")
        if not label_window(self.calibrate, self.horizon_days).is_closed_by(self.used_at):
            raise ValueError(f"Calibrating as of {self.calibrate} looks past {self.used_at}, where it is used.")

    def windows(self) -> dict[str, list[list[str]]]:
        """Every label window, for model.json."""
        return {
            "train": [self._window(as_of).as_list() for as_of in sorted(self.train)],
            "calibrate": [self._window(self.calibrate).as_list()],
        }

    def _window(self, as_of: datetime) -> Window:
        return label_window(as_of, self.horizon_days)


def whole_weeks(days: int) -> int:
    """The number of days rounded up to whole weeks: cutoffs keep their weekday."""
    return -(-days // WEEK) * WEEK


def split_for(
    used_at: datetime, *, horizon_days: int, first: datetime, n_cutoffs: int, anchor: datetime | None = None
) -> Split:
    """The newest split whose every label is closed by `used_at`.

    Args:
        used_at: where the model will stand when it is judged or used.
        horizon_days: of the label.
        first: the first event; a training cutoff has at least one horizon of history behind it.
        n_cutoffs: at most so many training cutoffs, a step of four weeks apart.
        anchor: an instant that training cutoffs stay whole steps away from, so that splits share their snapshots.

    Raises:
        TooLittleData: with the day on which there will be enough.
    """
    reach = timedelta(days=whole_weeks(horizon_days))
    calibrate, step = used_at - reach, timedelta(days=STEP_DAYS)
    newest = calibrate - reach
    if anchor is not None:
        newest -= (newest - anchor) % step
    candidates = [newest - i * step for i in range(n_cutoffs)]
    train = tuple(as_of for as_of in candidates if as_of >= first + reach)
    if not train and calibrate - reach >= first + reach:
        train = (calibrate - reach,)
    if not train:
        missing = (first + reach) - (calibrate - reach)
        raise TooLittleData(
            f"Asked for a {horizon_days}-day model as of {used_at:%Y-%m-%d}, but events begin on {first:%Y-%m-%d}. "
            f"It needs {3 * reach.days} days of history: one horizon behind the training cutoff, one to learn from and "
            f"a later one to calibrate on. That is there on {used_at + missing:%Y-%m-%d}.",
            ready=used_at + missing,
        )
    return Split(horizon_days=horizon_days, train=train, calibrate=calibrate, used_at=used_at)


def gate_cutoff(known_until: datetime, *, horizon_days: int) -> datetime:
    """The newest as_of whose window is closed: what is taught by then may be judged there."""
    return known_until - timedelta(days=whole_weeks(horizon_days))
