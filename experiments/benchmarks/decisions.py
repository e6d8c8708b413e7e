"""Decisions a second: Rapport beside BentoML doing nothing and beside the pipeline that a user would write.

    python -m experiments.benchmarks.decisions --seconds 4

Every server has two workers and shares this machine's cores with the client. Rapport's requests are whole: features,
two models, eligibility, policy, message, and the decision durable in the ledger before the answer leaves.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.benchmarks.decisions_world import make_world
from experiments.benchmarks.load import load, post
from features.workspace import WORKSPACE_VARIABLE

CONNECTIONS = (1, 16, 64)
STARTS_WITHIN_SECONDS = 120.0
GRACEFUL = ("--timeout-graceful-shutdown", "5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--customers", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rapport-decisions-") as folder:
        workspace, naive = make_world(Path(folder), n_customers=arguments.customers)
        numbers = random.Random(1)

        def customer() -> int:
            return numbers.randint(1, arguments.customers)

        def rapport() -> bytes:
            asked = {"customer_id": f"c-{customer()}", "placement": "chat_reply", "channel": "web", "locale": "hi-IN"}
            return post("/v1/decisions", json.dumps(asked).encode())

        strangers = itertools.count()

        def stranger() -> bytes:
            asked = {"customer_id": f"new-{next(strangers)}", "placement": "chat_reply", "channel": "web"}
            return post("/v1/decisions", json.dumps(asked).encode())

        def echo() -> bytes:
            return post("/decide", b'{"customer_id": "c-%d"}' % customer())

        def naively() -> bytes:
            return post("/decide", b'{"customer_key": %d}' % customer())

        here = "experiments.benchmarks.decisions_services"
        ours = {WORKSPACE_VARIABLE: str(workspace.root)}
        contenders: list[tuple[str, str, Mapping[str, str], Callable[[], bytes]]] = [
            ("BentoML, doing nothing, defaults", f"{here}:Nothing", {}, echo),
            ("BentoML, doing nothing, our settings", f"{here}:NothingTuned", {}, echo),
            ("naive pipeline, writes nothing", f"{here}:Naive", {"NAIVE_FOLDER": str(naive)}, naively),
            ("Rapport, durable", "serving.service:Rapport", ours, rapport),
            ("Rapport, durable, every customer new", "serving.service:Rapport", ours, stranger),
        ]
        print(f"{'2 workers, 2 cores with the client':40}  " + "  ".join(f"c = {n:<24}" for n in CONNECTIONS))
        print(f"{'':40}  " + "  ".join(f"{'req/s':>8} {'p50 ms':>8} {'p99 ms':>8}  " for _ in CONNECTIONS))
        for title, service, variables, request in contenders:
            cells = []
            with served(service, variables) as port:
                for n in CONNECTIONS:
                    found = load(port, request, n_connections=n, seconds=arguments.seconds)
                    cells.append(f"{found.requests_per_second:8.0f} {found.p50_ms:8.2f} {found.p99_ms:8.2f}  ")
            print(f"{title:40}  " + "  ".join(cells), flush=True)


@contextmanager
def served(service: str, variables: Mapping[str, str]) -> Iterator[int]:
    """Two workers of a service on a free port; gone, and the port with them, when the block ends."""
    port = free_port()
    quiet = {"BENTOML_DO_NOT_TRACK": "true", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port), *GRACEFUL],
        env={**os.environ, **quiet, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_SECONDS
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{service} did not become ready.")
            time.sleep(0.2)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def is_ready(port: int) -> bool:
    """Whether /readyz answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
