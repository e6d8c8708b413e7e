"""Several look for moments that are due: each comes once, and one looks at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from features.workspace import Workspace
from serving import due_moments
from serving.due_moments import MomentWatch
from serving.engine import Engine
from tests.serving.conftest import starter
from tests.serving.moments_world import World, with_these_moments
from tests.serving.tiny_world import Clock

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    workspace = with_these_moments(starter(tmp_path_factory.mktemp("moments") / "shop"))
    clock = Clock()
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        yield world
        world.evaluator.close()


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from features.workspace import Workspace
from serving import due_moments
from serving.engine import Engine

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
write, n_written = due_moments._write, 0

def written_and_killed(*given, **named):
    global n_written
    came, n_written = write(*given, **named), n_written + 1
    if n_written == 2:  # inside the second look's transaction, all of it done and none of it committed
        os.kill(os.getpid(), signal.SIGKILL)
    return came

due_moments._write = written_and_killed
with Engine(Workspace(Path(sys.argv[1])), clock=lambda: START + timedelta(hours=4)) as engine:
    evaluator = due_moments.MomentEvaluator(engine, at_once=3)
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        evaluator.look()
"""


class Another:
    """Another process that looks too, a few at a time, and dies in its second look."""

    def __init__(self, workspace: Workspace) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _KILLED, str(workspace.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> int:
        self._process.communicate(timeout=60)
        return self._process.returncode


def test_killed_while_looking_beside_another_each_moment_comes_once(tmp_path: Path) -> None:
    workspace, clock = with_these_moments(starter(tmp_path / "shop")), Clock()
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock, at_once=3)
        people = [world.customer() for _ in range(20)]
        for key in people:
            world.put_in_cart(key)
        other = Another(workspace)
        other.go()
        clock.now += timedelta(hours=4)
        world.evaluator.look()
        world.evaluator.look()
        assert other.end() == -signal.SIGKILL
        fired = [row[0] for row in engine.reader.execute("SELECT customer_key FROM moments")]
        assert 3 <= len(fired) <= 9  # of its first look and of ours: nothing of the look in which it died
        while world.evaluator.look().is_more:
            continue
        fired = [row[0] for row in engine.reader.execute("SELECT customer_key FROM moments")]
        assert sorted(fired) == people
        world.evaluator.close()


def test_the_thread_looks_by_itself_and_only_one_process_at_a_time(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.clock.now += timedelta(hours=4)
    watch = MomentWatch(world.engine, every_seconds=0.02)
    with due_moments._alone(world.engine) as is_ours:
        assert is_ours
        watch.start()
        with due_moments._alone(world.engine) as again:
            assert not again
        watch._stop.wait(0.2)
        assert world.moments_of(key) == []
    for _ in range(200):
        if world.moments_of(key):
            break
        watch._stop.wait(0.05)
    watch.close()
    assert world.moments_of(key) == ["abandoned_cart"]
