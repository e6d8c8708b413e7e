"""A shop played through the command line and over HTTP, as its people would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

RAPPORT = Path(sys.executable).with_name("rapport")
IN_TURN = """
import json, sys
from features.command_line import run_verb
for words in json.loads(sys.argv[1]):
    run_verb(*words)
"""


@dataclass(frozen=True)
class Shop:
    """One workspace, worked with by the verbs of `rapport` only."""

    workspace: Path

    @classmethod
    def opened(cls, workspace: Path, *, currency: str, time_zone: str, horizons_days: tuple[int, ...] = (30,)) -> Shop:
        """`rapport init`, then the few lines that a shop elsewhere would edit in brand.yaml."""
        run("init", str(workspace))
        brand = workspace / "brand.yaml"
        text = brand.read_text(encoding="utf-8")
        for old, new in (
            ("currency: INR", f"currency: {currency}"),
            ("time_zone: Asia/Kolkata", f"time_zone: {time_zone}"),
            ("horizons_days: [7, 30, 90]", f"horizons_days: {list(horizons_days)}"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        brand.write_text(text, encoding="utf-8")
        return cls(workspace)

    def run(self, *words: str, code: int = 0) -> str:
        return run(*words, "--workspace", str(self.workspace), code=code)

    def run_in_turn(self, *verbs: Sequence[str]) -> str:
        """Several verbs by one process, as `rapport demo` does: imports cost more CPU than most verbs do."""
        lines = [[*words, "--workspace", str(self.workspace)] for words in verbs]
        return done_by([sys.executable, "-c", IN_TURN, json.dumps(lines)])

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    @contextlib.contextmanager
    def served(self, *options: str) -> Iterator[httpx.Client]:
        port = free_port()
        command = [str(RAPPORT), "serve", "--workspace", str(self.workspace), "--port", str(port), *options]
        log = self.workspace / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
                wait_until_ready(client, server=server, log=log)
                yield client
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def run(*words: str, code: int = 0) -> str:
    return done_by([str(RAPPORT), *words], code=code)


def done_by(command: list[str], *, code: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == code, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(client: httpx.Client, *, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 150
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"The server was not ready:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def script_of(language: str) -> re.Pattern[str]:
    """A letter of the script that this language is written in."""
    return re.compile({"hi": "[\u0900-\u097f]", "th": "[\u0e00-\u0e7f]", "en": "[A-Za-z]"}[language])
