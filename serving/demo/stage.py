"""Where the demo plays: its folder, its verbs, its server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace

MARKER = ".rapport-demo"
HOLDOUT_RATE = 0.4  # of a few thousand customers: at the starter's 0.1 four weeks would prove little
READY_SECONDS = 60.0


def refuse_taken_port(port: int) -> None:
    """Says at the start what would otherwise fail at the end.

    Raises:
        CallersMistake: something listens on that port already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise CallersMistake(
                f"Asked to serve on 127.0.0.1:{port}, but that port is taken ({taken.strerror}). Stop what listens "
                f"there, or choose another: rapport demo --port {port + 1}"
            ) from taken


@dataclass(frozen=True, slots=True)
class Server:
    """The server's process, which may still be starting."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_ready(self) -> str:
        """The server's address, once it answers.

        Raises:
            RuntimeError: it ended, or took too long; with its last words.
        """
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=2.0).status_code == httpx.codes.OK:
                    return self.url
            time.sleep(0.1)
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise RuntimeError(f"The server on {self.url} was not ready within {READY_SECONDS:.0f} s. It said:\n{tail}")


@dataclass(frozen=True, slots=True)
class Stage:
    """The demo's folder and console."""

    folder: Path
    workspace: Workspace
    seed: int
    console: Console
    began: float

    @classmethod
    def set_up(cls, folder: Path, *, seed: int) -> Stage:
        """An empty folder with a fresh workspace.

        Raises:
            CallersMistake: the folder exists and holds something other than an earlier demo.
        """
        folder = folder.resolve()
        if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise CallersMistake(
                f"Asked to play the demo in '{folder}', which holds something else. The demo empties its folder "
                f"first, so it takes only a new one or its own: choose another with --folder."
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / MARKER).write_text("Made by 'rapport demo', which empties this folder when it starts.\n")
        stage = cls(folder, Workspace(folder / "workspace"), seed, Console(highlight=False), time.monotonic())
        with stage.step("A workspace for the brand"):
            run_verb("init", str(stage.workspace.root))
            _hold_out(stage.workspace, rate=HOLDOUT_RATE)
        return stage

    @property
    def export(self) -> Path:
        """The simulated shop's export."""
        return self.folder / "export"

    @property
    def history_end(self) -> date:
        """The history ends so long ago that the simulated weeks end today."""
        from serving.demo.verb import WEEKS

        return datetime.now(UTC).date() - timedelta(weeks=WEEKS)

    def make_history(self, *, customers: int, days: int) -> None:
        """Simulates the brand's past and imports it as any shop's export."""
        with self.step(f"The past of {customers:,} simulated customers"):
            run_verb(
                "simulate", "--out", str(self.export), "--customers", str(customers), "--days", str(days),
                "--seed", str(self.seed), "--end", self.history_end.isoformat(),
            )  # fmt: skip
        with self.step("Its import"):
            self.run("import", str(self.export / "events.parquet"), "--mapping", str(self.export / "mapping.yaml"))

    def learn(self) -> None:
        """Features as of the history's end, models, and everybody's online row and score."""
        as_of = self.history_end.isoformat()
        with self.step("Features of everybody at many instants, and the models that learn from them"):
            self.run("train", "all", "--as-of", as_of)
        with self.step("Everybody's online row and score"):
            self.refresh(as_of)

    def refresh(self, as_of: str) -> None:
        """Everybody's online row and score as of that day."""
        self.run("features", "build", "--as-of", as_of)
        self.run("features", "materialize", "--as-of", as_of)
        self.run("score", "--as-of", as_of)

    def run(self, *words: str) -> None:
        """One verb on the demo's workspace."""
        run_verb(*words, "--workspace", str(self.workspace.root))

    @contextlib.contextmanager
    def serving(self, *, port: int) -> Iterator[Server]:
        """`rapport serve` in a process of its own, starting while the block goes on and stopped when it ends."""
        command = [sys.executable, "-c", "from features.command_line import main; main()", "serve"]
        command += ["--workspace", str(self.workspace.root), "--port", str(port)]
        log = self.folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ.copy())
        try:
            yield Server(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step with what it took."""
        self.say(f"\n[bold]{title}[/bold]")
        start = time.monotonic()
        yield
        now = time.monotonic()
        self.say(f"[dim]{now - start:.1f} s ({now - self.began:.0f} s since the start)[/dim]")

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What the verbs print here goes to the demo's log."""
        with (self.folder / "demo.log").open("a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            yield

    def say(self, text: str) -> None:
        """Prints one line."""
        self.console.print(text, soft_wrap=True)

    def wait_for_interrupt(self) -> None:
        """Serves on until Ctrl-C."""
        self.say("\nServing until Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _hold_out(workspace: Workspace, *, rate: float) -> None:
    text = workspace.brand_file.read_text(encoding="utf-8")
    starter = "holdout_rate: 0.1 "
    if starter not in text:
        raise RuntimeError(f"The starter's brand.yaml has no '{starter.strip()}' to raise for the demo.")
    workspace.brand_file.write_text(text.replace(starter, f"holdout_rate: {rate} "), encoding="utf-8")
