"""A run takes each step once, goes on where it was killed, and lets no second one in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiments.report.models import champion_file
from features.brand import load_brand
from features.database import connect
from features.event_log import EventLog
from features.faults import CallersMistake
from features.lake import Lake
from features.online import OnlineFeatures
from features.packing import CustomerState
from features.schema import feature_schema
from features.starting import write_starter
from features.workspace import Workspace
from training.artifact import NEXT_PURCHASE, SEGMENTS, write_artifact
from training.drift.report import Drift, Looked, write_drift
from training.routine.schedule import every_so_often, interval_of, run_once
from training.routine.state import RESUMED_WITHIN, Outcome, Run, alone, begin, read_run, state_file, write_run
from training.routine.steps import STEPS, Asked, Came, Step, due_models

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    workspace = Workspace(tmp_path / "shop")
    write_starter(workspace.root)
    return Asked(workspace, report=tmp_path / "report")


class Taken:
    """Steps that note that they were taken; one may fail."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.fails: set[str] = set()
        self.as_ofs: set[datetime] = set()

    def steps(self, *names: str) -> dict[str, Step]:
        return {name: self._step(name) for name in names}

    def _step(self, name: str) -> Step:
        def take(asked: Asked, run: Run) -> Came:
            self.names.append(name)
            self.as_ofs.add(run.as_of)
            if name in self.fails:
                raise CallersMistake(f"{name} cannot be done.")
            return Came(f"{name} came", {"of": name})

        return take


def test_steps_are_taken_in_order_and_noted_with_what_came_of_them(asked: Asked) -> None:
    taken = Taken()
    run = run_once(asked, now=NOW, steps=taken.steps("first", "second"))
    assert taken.names == ["first", "second"]
    assert run.is_whole
    kept = read_run(asked.workspace)
    assert kept is not None
    assert [(one.name, one.status, one.told, one.result) for one in kept.outcomes] == [
        ("first", "done", "first came", {"of": "first"}),
        ("second", "done", "second came", {"of": "second"}),
    ]


def test_a_step_that_fails_ends_the_run_and_the_next_one_goes_on_there(asked: Asked) -> None:
    taken = Taken()
    taken.fails = {"second"}
    steps = taken.steps("first", "second", "third")
    run = run_once(asked, now=NOW, steps=steps)
    assert not run.is_whole
    assert run.outcomes[-1].told == "second cannot be done."
    taken.fails = set()
    told: list[tuple[str, str]] = []
    resumed = run_once(
        asked, now=NOW + timedelta(hours=1), steps=steps, on_step=lambda name, status, _: told.append((name, status))
    )
    assert taken.names == ["first", "second", "second", "third"]
    assert told == [("first", "before"), ("second", "done"), ("third", "done")]
    assert resumed.run_id == run.run_id
    assert len(taken.as_ofs) == 1  # the whole run stands at one instant


def test_what_was_withdrawn_or_erased_goes_at_every_run_whatever_else_fails(asked: Asked) -> None:
    taken = Taken()
    steps = taken.steps("sync", "scrub", "build", "materialize")
    taken.fails = {"build"}
    run_once(asked, now=NOW, steps=steps)
    resumed = run_once(asked, now=NOW + timedelta(hours=1), steps=steps)
    assert taken.names == ["sync", "scrub", "build"] * 2
    assert [one.name for one in resumed.outcomes] == ["sync", "scrub", "build"]
    taken.fails = {"sync"}
    run_once(asked, now=NOW + timedelta(hours=2), steps=steps)
    assert taken.names[6:] == ["sync", "scrub"]


@pytest.mark.parametrize("broken", ["train", "score"])
def test_a_broken_training_or_score_is_noted_and_the_rest_stays_fresh(asked: Asked, broken: str) -> None:
    taken = Taken()
    steps = taken.steps("build", "train", "materialize", "score", "report")
    taken.fails = {broken}
    for hours in (0, 6):  # each run stands at its own instant: nothing of the day waits for the model
        run = run_once(asked, now=NOW + timedelta(hours=hours), steps=steps)
        assert [one.name for one in run.outcomes if one.status == "failed"] == [broken]
        assert (run.is_whole, run.is_at_end) == (False, True)
    assert taken.names == ["build", "train", "materialize", "score", "report"] * 2
    assert len(taken.as_ofs) == 2


def test_a_schedule_outlives_a_run_by_hand_and_a_state_that_cannot_be_written(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.routine.schedule as schedule

    left = [CallersMistake("process 7 is at one"), OSError(30, "Read-only file system"), None]

    def once(asked: Asked, on_step: object) -> Run:
        if (fault := left.pop(0)) is not None:
            raise fault
        return Run("r", NOW, is_whole=True)

    monkeypatch.setattr(schedule, "run_once", once)
    slept: list[float] = []
    told: list[str] = []
    runs = every_so_often(asked, pause=timedelta(seconds=100), on_trouble=told.append, sleep=slept.append)
    assert next(runs).run_id == "r"
    assert len(slept) == 2
    assert "process 7" in told[0]
    assert "Read-only" in told[1]
    left.append(CallersMistake("process 7 is at one"))
    with pytest.raises(CallersMistake):
        list(every_so_often(asked, pause=None))


def test_a_run_left_too_long_ago_is_begun_anew(asked: Asked) -> None:
    taken = Taken()
    taken.fails = {"second"}
    steps = taken.steps("first", "second")
    run_once(asked, now=NOW, steps=steps)
    run_once(asked, now=NOW + RESUMED_WITHIN + timedelta(minutes=1), steps=steps)
    assert taken.names == ["first", "second", "first", "second"]


def test_after_a_whole_run_the_next_begins_anew(asked: Asked) -> None:
    taken = Taken()
    for hours in (0, 1):
        run_once(asked, now=NOW + timedelta(hours=hours), steps=taken.steps("only"))
    assert taken.names == ["only", "only"]


def test_a_fault_of_ours_fails_the_step_and_not_the_schedule(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    def breaks(asked: Asked, run: Run) -> Came:
        raise ZeroDivisionError("by nought")

    run = run_once(asked, now=NOW, steps={"breaks": breaks})
    assert run.outcomes[0].told == "ZeroDivisionError: by nought"
    assert "Traceback" in capsys.readouterr().err


def test_a_second_run_is_told_who_is_at_it(asked: Asked) -> None:
    with alone(asked.workspace), pytest.raises(CallersMistake, match=f"process {os.getpid()} is at one"):
        run_once(asked, now=NOW, steps=Taken().steps("first"))


def test_a_state_file_that_nobody_can_read_begins_a_new_run(asked: Asked) -> None:
    state_file(asked.workspace).parent.mkdir(parents=True, exist_ok=True)
    state_file(asked.workspace).write_text('{"format": 1, "run', "utf-8")
    assert run_once(asked, now=NOW, steps=Taken().steps("first")).is_whole


def test_runs_begin_this_far_apart_however_long_they_take(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.routine.schedule as schedule

    monkeypatch.setattr(schedule, "run_once", lambda asked, on_step: Run("r", NOW, is_whole=True))
    slept: list[float] = []
    runs = every_so_often(asked, pause=timedelta(seconds=100), sleep=slept.append)
    assert [next(runs).run_id for _ in range(3)] == ["r", "r", "r"]
    assert [99 < seconds <= 100 for seconds in slept] == [True, True]


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1_800), ("6h", 21_600), ("1d", 86_400)])
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert interval_of(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0h", "soon", "1 week", "-5m"])
def test_what_is_no_interval_is_a_mistake(text: str) -> None:
    with pytest.raises(CallersMistake, match="such as 6h"):
        interval_of(text)


def a_version(asked: Asked, name: str, *, as_of: datetime, schema_version: str | None = None) -> None:
    fitting = feature_schema(load_brand(asked.workspace), asked.workspace).version
    description = {
        "name": name,
        "as_of": as_of.isoformat(),
        "schema_version": schema_version or fitting,
        "inputs": [],
        "categories": {},
    }
    write_artifact(asked.workspace.artifacts, description, [])


def test_a_model_without_a_version_or_with_an_old_one_is_due(asked: Asked) -> None:
    assert due_models(asked, NOW) == (SEGMENTS, NEXT_PURCHASE)
    a_version(asked, SEGMENTS, as_of=NOW - timedelta(days=6))
    a_version(asked, NEXT_PURCHASE, as_of=NOW - timedelta(days=7))
    assert due_models(asked, NOW) == (NEXT_PURCHASE,)
    assert due_models(replace(asked, train_every_days=5), NOW) == (SEGMENTS, NEXT_PURCHASE)


def test_a_model_of_other_features_is_due(asked: Asked) -> None:
    a_version(asked, SEGMENTS, as_of=NOW, schema_version="of another brand")
    a_version(asked, NEXT_PURCHASE, as_of=NOW)
    assert due_models(asked, NOW) == (SEGMENTS,)


def test_a_training_that_drift_suggests_is_said_and_not_done(asked: Asked) -> None:
    run = Run("r", NOW)
    run.keep(Outcome("build", "done", "", 0.0, {"known_until": NOW.isoformat()}))
    for name in (SEGMENTS, NEXT_PURCHASE):
        a_version(asked, name, as_of=NOW)
    in_use = {name: {"version": "20260301-v", "sha256": "0"} for name in (SEGMENTS, NEXT_PURCHASE)}
    champion_file(asked.workspace).write_text(json.dumps(in_use), "utf-8")
    looked = [
        Looked(SEGMENTS, "20260301-v", NOW, 0.0, status="steady"),
        Looked(NEXT_PURCHASE, "20260301-v", NOW, 0.0, status="retrain"),
    ]
    write_drift(asked.workspace, Drift(NOW, tuple(looked)))
    came = STEPS["due"](asked, run)
    assert (came.result, came.is_skipped) == ({"models": [], "suggested": [NEXT_PURCHASE]}, True)
    assert "suggests 'rapport train next-purchase' ('rapport drift' says why)" in came.told
    write_drift(asked.workspace, Drift(NOW, (replace(looked[1], version="of before"),)))
    assert STEPS["due"](asked, run).result == {"models": [], "suggested": []}


def test_a_training_that_was_killed_is_taken_up_though_its_version_is_there(asked: Asked) -> None:
    """A kill between writing a version and its promotion: the version alone says that nothing is due any more."""
    run = Run("r", NOW)
    run.keep(Outcome("build", "done", "", 0.0, {"known_until": NOW.isoformat()}))
    run.keep(Outcome("due", "done", "", 0.0, STEPS["due"](asked, run).result))
    a_version(asked, SEGMENTS, as_of=NOW)
    a_version(asked, NEXT_PURCHASE, as_of=NOW)
    assert due_models(asked, NOW) == ()
    write_run(asked.workspace, run)
    resumed = begin(asked.workspace, now=NOW + timedelta(minutes=5))
    assert resumed.result_of("due") == {"models": [SEGMENTS, NEXT_PURCHASE], "suggested": []}


RUN = """
import sys, os, signal
from pathlib import Path
from features.workspace import Workspace
from training.routine import steps
from training.routine.schedule import run_once
place = Workspace(Path(sys.argv[1]))
kill_at = sys.argv[2]

def tell(name, status, told):
    print(name, status, flush=True)
    if name == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

if kill_at.startswith("in "):
    # In the middle of a step: its work is done, and nobody has noted it yet.
    inner = steps.STEPS[kill_at[3:]]
    def killed(asked, run):
        inner(asked, run)
        os.kill(os.getpid(), signal.SIGKILL)
    steps.STEPS[kill_at[3:]] = killed
run = run_once(steps.Asked(place, report=place.root / "report"), on_step=tell, steps=steps.STEPS)
sys.exit(0 if run.is_whole else 1)
"""


def run_and_kill(workspace: Workspace, at: str) -> tuple[int, list[str]]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", RUN, str(workspace.root), at]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.splitlines()


def test_a_run_killed_in_the_middle_goes_on_there_and_ends_as_if_nothing_had_happened(asked: Asked) -> None:
    workspace = asked.workspace
    now = datetime.now(UTC) - timedelta(minutes=5)
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append(
            {
                "event_id": f"e{n}",
                "customer_key": n % 5 + 1,
                "event": "Order Completed",
                "order_id": f"o{n}",
                "total": 10.0,
                "occurred_at": now - timedelta(days=n % 3),
                "received_at": now - timedelta(days=n % 3),
            }
            for n in range(20)
        )
    code, _ = run_and_kill(workspace, "in materialize")
    assert code == -signal.SIGKILL
    code, told = run_and_kill(workspace, "never")
    assert code == 0
    done_before = [line.removesuffix(" before") for line in told if line.endswith("before")]
    assert done_before == ["build", "due", "train"]
    assert Lake(workspace.lake).n_events() == 20
    online = OnlineFeatures.open(workspace)
    try:
        states = [online.read(key) for key in range(1, 6)]
    finally:
        online.close()
    place = online.schema.numeric.index("n_orders")
    assert [state.vector[place] for state in states if isinstance(state, CustomerState)] == [4.0] * 5
    assert json.loads(state_file(workspace).read_text("utf-8"))["is_whole"]
    assert (workspace.root / "report" / "index.html").is_file()
