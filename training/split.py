"""Which windows a model may learn from, be calibrated on, and be judged on: by time only.

The rule, which `Split` refuses to break: the labels of whatever teaches are closed by the as_of of whatever they are
judged on. The newest closed window teaches and calibrates both, by cross-fitting: no customer's score is calibrated by
a fit that saw that customer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from features.faults import CallersMistake
from training.labels import Window, label_window

STEP_DAYS = 28  # between training cutoffs: four whole weeks, so that every cutoff falls on the same weekday
NEAREST_DAYS = 14  # an older cutoff nearer to the newest than this teaches little that is new
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
    """The cutoffs of one fit: trained on some, calibrated on the newest of them, to be used as of `used_at`."""

    horizon_days: int
    train: tuple[datetime, ...]  # newest first
    used_at: datetime

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("A split trains on at least one cutoff.")
        if list(self.train) != sorted(self.train, reverse=True):
            raise ValueError(f"A split's cutoffs are newest first; got {self.train}.")
        if not label_window(self.calibrate, self.horizon_days).is_closed_by(self.used_at):
            raise ValueError(f"Training as of {self.calibrate} looks past {self.used_at}, where it is used.")

    @property
    def calibrate(self) -> datetime:
        """The newest cutoff: its window sets the level."""
        return self.train[0]

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
        n_cutoffs: at most so many training cutoffs: the newest there can be, then a step of four weeks apart.
        anchor: an instant that the older cutoffs stay whole steps away from, so that splits share their snapshots.

    Raises:
        TooLittleData: with the day on which there will be enough.
    """
    reach = timedelta(days=whole_weeks(horizon_days))
    newest, step = used_at - reach, timedelta(days=STEP_DAYS)
    if newest < first + reach:
        missing = first + reach - newest
        raise TooLittleData(
            f"Asked for a {horizon_days}-day model as of {used_at:%Y-%m-%d}, but events begin on {first:%Y-%m-%d}. "
            f"It needs {2 * reach.days} days of history: one horizon behind the training cutoff and one to learn from. "
            f"That is there on {used_at + missing:%Y-%m-%d}.",
            ready=used_at + missing,
        )
    older = newest - step
    if anchor is not None:
        older += (anchor - older) % step  # onto the grid: at most a step later, so up to the newest itself
        older -= step if older > newest - timedelta(days=NEAREST_DAYS) else timedelta(0)
    candidates = (older - i * step for i in range(n_cutoffs - 1))
    train = (newest, *(as_of for as_of in candidates if as_of >= first + reach))
    return Split(horizon_days=horizon_days, train=train, used_at=used_at)


def gate_cutoff(known_until: datetime, *, horizon_days: int) -> datetime:
    """The newest as_of whose window is closed: what is taught by then may be judged there."""
    return known_until - timedelta(days=whole_weeks(horizon_days))
