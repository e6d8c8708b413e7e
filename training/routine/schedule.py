"""One run, or one after the other: each step is taken once, and noted on disk before the next begins."""

from __future__ import annotations

import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from features.faults import CallersMistake
from features.lake_writer import LakeIsBusy
from training.routine.state import Outcome, Run, alone, begin, write_run
from training.routine.steps import STEPS, Asked, Came, Step

OnStep = Callable[[str, str, str], None]  # name; done | skipped | failed | before; one line

WAITED_FOR_THE_LAKE = timedelta(minutes=10)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def interval_of(text: str) -> timedelta:
    """How far apart runs are: a number and a unit, such as 30m, 6h or 1d.

    Raises:
        CallersMistake: it is none.
    """
    found = re.fullmatch(r"(\d+)([smhd])", text.strip())
    interval = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not interval:
        raise CallersMistake(
            f"Asked for a run every '{text}', which is no interval. Give a number and s, m, h or d, such as 6h."
        )
    return interval


def every_so_often(
    asked: Asked,
    *,
    pause: timedelta | None,
    on_step: OnStep | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Run]:
    """Each run once it has ended: one, or with a pause from the beginning of each to the next's, without end."""
    while True:
        began = time.monotonic()
        yield run_once(asked, on_step=on_step)
        if pause is None:
            return
        sleep(max(0.0, pause.total_seconds() - (time.monotonic() - began)))


def run_once(
    asked: Asked,
    *,
    now: datetime | None = None,
    steps: Mapping[str, Step] = STEPS,
    on_step: OnStep | None = None,
) -> Run:
    """Takes every step that the run left before its end has not taken, or all; stops where one fails.

    Args:
        asked: what to do.
        now: what the time is; None to look at the clock.
        steps: by name, in order.
        on_step: told of each step.

    Raises:
        CallersMistake: another run is going on.
    """
    tell = on_step or (lambda name, status, told: None)
    with alone(asked.workspace):
        run = begin(asked.workspace, now=now or datetime.now(UTC))
        for name, step in steps.items():
            if run.has_done(name):
                tell(name, "before", next(one.told for one in run.outcomes if one.name == name))
                continue
            outcome = _taken(name, step, asked, run)
            run.keep(outcome)
            write_run(asked.workspace, run)
            tell(name, outcome.status, outcome.told)
            if outcome.status == "failed":
                return run
        run.is_whole = True
        write_run(asked.workspace, run)
    return run


def _taken(name: str, step: Step, asked: Asked, run: Run) -> Outcome:
    began = time.monotonic()
    try:
        came = _when_the_lake_is_free(lambda: step(asked, run))
        status, told, result = "skipped" if came.is_skipped else "done", came.told, came.result
    except CallersMistake as mistake:
        status, told, result = "failed", str(mistake), {}
    except Exception as error:  # a scheduled run is nobody's to watch: it says what happened, and is taken up again
        traceback.print_exc(file=sys.stderr)
        status, told, result = "failed", f"{type(error).__name__}: {error}", {}
    return Outcome(name, status, told, round(time.monotonic() - began, 3), result)


def _when_the_lake_is_free(take: Callable[[], Came]) -> Came:
    """Takes a step, again and again while an import is writing to the lake."""
    until = time.monotonic() + WAITED_FOR_THE_LAKE.total_seconds()
    while True:
        try:
            return take()
        except LakeIsBusy:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
