"""One run, or one after the other: each step is taken once, and noted on disk before the next begins.

Nothing that is wrong with a model or a report may keep what was withdrawn or erased: AGAIN is taken at every run, also
at one that is taken up again, and after a failure. From a failure on which nothing later stands the run goes on.
"""

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

AGAIN = ("sync", "scrub")  # cheap where nothing is new
NOTHING_STANDS_ON = ("train", "score", "drift", "moments", "report")
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


def _say(told: str) -> None:
    sys.stderr.write(f"{told}\n")
    sys.stderr.flush()


def every_so_often(
    asked: Asked,
    *,
    pause: timedelta | None,
    on_step: OnStep | None = None,
    on_trouble: Callable[[str], None] = _say,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Run]:
    """Each run once it has ended: one, or with a pause from the beginning of each to the next's, without end.

    Args:
        asked: what to do.
        pause: None for one run.
        on_step: told of each step.
        on_trouble: told why a run could not be, where another follows after the pause.
        sleep: waits so many seconds.

    Raises:
        CallersMistake: another run is going on, and there is no pause.
        OSError: the state file cannot be written, and there is no pause.
    """
    while True:
        began = time.monotonic()
        try:
            run = run_once(asked, on_step=on_step)
        except (CallersMistake, OSError) as trouble:
            if pause is None:
                raise
            on_trouble(f"No run this time; the next is tried in {pause}. {trouble}")
        else:
            yield run
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
    """Takes every step that the run left before its end has not taken, or all; what stands on a failed one waits.

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
        is_stopped = False
        for name, step in steps.items():
            if name not in AGAIN and (is_stopped or run.has_done(name)):
                if not is_stopped:
                    tell(name, "before", next(one.told for one in run.outcomes if one.name == name))
                continue
            outcome = _taken(name, step, asked, run)
            run.keep(outcome)
            write_run(asked.workspace, run)
            tell(name, outcome.status, outcome.told)
            is_stopped |= outcome.status == "failed" and name not in NOTHING_STANDS_ON
        run.is_at_end = not is_stopped
        run.is_whole = run.is_at_end and all(run.has_done(name) for name in steps)
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
