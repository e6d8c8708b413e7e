"""Decisions a second: Rapport beside BentoML doing nothing and beside the pipeline that a user would write.

    python -m experiments.benchmarks.decisions --seconds 4

Every server has two workers and shares this machine's cores with the client. Rapport's requests are whole: features,
two models, eligibility, policy, message, and the decision durable in the ledger before the answer leaves. Each server
is asked for two seconds before it is measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks.decisions_response import asked_of, promote_response
from experiments.benchmarks.decisions_world import NAIVE_VARIABLE, make_world
from experiments.benchmarks.load import load, post
from experiments.benchmarks.stepping import Spent, Step, print_steps
from features import online
from features.workspace import WORKSPACE_VARIABLE, Workspace
from serving import committing, compose, deciding, ledger, people
from serving.contact import taking
from serving.engine import Engine
from serving.schemas import DecisionRequest

CONNECTIONS = (1, 16, 64)
STARTS_WITHIN_SECONDS = 120.0
WARMED = 16, 2.0  # connections, seconds: each service is asked before it is measured, as one that is always on is
WAITED_FOR = "lock, two threads, on disk"
MEANWHILE = (  # what the committer's own thread does while the other one waits for it
    "what the contact policy counts, read",
    "contact policy, draw",
    "the record and its counts, written",
    "contacts and budgets, written",
)
GRACEFUL = ("--timeout-graceful-shutdown", "5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=10_000, help="that the ledger holds before")
    parser.add_argument(
        "--grown", type=int, default=1_000_000, help="customers and decisions of the last rows; 0: none"
    )
    parser.add_argument("--grown-in", type=Path, help="the folder of the grown world: made there unless it is there")
    parser.add_argument("--actions", type=int, default=50)
    arguments = parser.parse_args()
    print(f"{'2 workers, 2 cores with the client':46}  " + "  ".join(f"c = {n:<29}" for n in CONNECTIONS))
    columns = f"{'req/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'CPU ms':>7}  "
    print(f"{'':46}  " + "  ".join(columns for _ in CONNECTIONS))
    with tempfile.TemporaryDirectory(prefix="rapport-decisions-") as folder:
        sizes = {"n_customers": arguments.customers, "n_decisions": arguments.decisions}
        workspace, naive = make_world(Path(folder), n_actions=arguments.actions, **sizes)
        for contender in contenders(workspace, naive, n_customers=arguments.customers):
            print_row(contender, seconds=arguments.seconds)
        found = steps(workspace, n_customers=arguments.customers)
        promote_response(workspace, naive)
        for contender in with_response(workspace, naive, n_customers=arguments.customers):
            print_row(contender, seconds=arguments.seconds)
        n_scored, milliseconds = asked_of(workspace)
        print(f"{'rewards of ' + str(n_scored) + ' actions, one customer, CPU':46}  {milliseconds:8.3f} ms")
    if arguments.grown:
        with grown(arguments.grown, n_actions=arguments.actions, folder=arguments.grown_in) as workspace:
            n = arguments.grown
            print_row(ours("Rapport, durable", workspace, n_customers=n), seconds=arguments.seconds)
    print(f"\none decision, one thread, no server, {arguments.actions} actions (medians)")
    print_steps(found)


@contextmanager
def grown(n: int, *, n_actions: int, folder: Path | None) -> Iterator[Workspace]:
    """A world of so many customers and past decisions; of a million 17 GB, which take five minutes."""
    with tempfile.TemporaryDirectory(prefix="rapport-decisions-") as made:
        root = folder or Path(made)
        workspace = Workspace(root / "shop")
        if not workspace.database.is_file():
            sizes = {"n_customers": n, "n_decisions": n, "n_actions": n_actions}
            workspace, _ = make_world(root, events_each=3, naive_too=False, **sizes)
        yield workspace


@dataclass(frozen=True)
class Contender:
    """A service, and how it is asked."""

    title: str
    service: str
    variables: Mapping[str, str]
    request: Callable[[], bytes]


def ours(title: str, workspace: Workspace, *, n_customers: int, **asked: object) -> Contender:
    """Rapport, asked about customers that it knows."""
    numbers = random.Random(1)

    def request() -> bytes:
        who = {"customer_id": f"c-{numbers.randint(1, n_customers)}"}
        body = who | {"placement": "chat_reply", "channel": "web", "locale": "hi-IN"} | asked
        return post("/v1/decisions", json.dumps(body).encode())

    title = f"{title}, {n_customers:,} customers"
    return Contender(title, "serving.service:Rapport", {WORKSPACE_VARIABLE: str(workspace.root)}, request)


def contenders(workspace: Workspace, naive: Path, *, n_customers: int) -> Iterator[Contender]:
    """Everything that is measured in one run."""
    here, numbers, strangers = "experiments.benchmarks.decisions_services", random.Random(1), itertools.count()

    def echo() -> bytes:
        return post("/decide", b'{"customer_id": "c-%d"}' % numbers.randint(1, n_customers))

    def stranger() -> bytes:
        asked = {"customer_id": f"new-{next(strangers)}", "placement": "chat_reply", "channel": "web"}
        return post("/v1/decisions", json.dumps(asked).encode())

    yield Contender("BentoML, doing nothing, defaults", f"{here}:Nothing", {}, echo)
    yield Contender("BentoML, doing nothing, our settings", f"{here}:NothingTuned", {}, echo)
    yield naively("naive pipeline, one row in SQLite", "Naive", naive, n_customers=n_customers)
    known = ours("Rapport, durable", workspace, n_customers=n_customers)
    yield known
    yield ours("Rapport, explain=true", workspace, n_customers=n_customers, explain=True)
    yield Contender("Rapport, every customer new", known.service, known.variables, stranger)


def with_response(workspace: Workspace, naive: Path, *, n_customers: int) -> Iterator[Contender]:
    """What is measured where a response model expects a reward of every action."""
    yield naively("naive pipeline, response model", "NaiveResponse", naive, n_customers=n_customers)
    yield ours("Rapport, response model", workspace, n_customers=n_customers)


def naively(title: str, service: str, folder: Path, *, n_customers: int) -> Contender:
    """The naive pipeline, asked about customers that it knows."""
    numbers = random.Random(1)

    def request() -> bytes:
        return post("/decide", b'{"customer_key": %d}' % numbers.randint(1, n_customers))

    return Contender(
        title, f"experiments.benchmarks.decisions_services:{service}", {NAIVE_VARIABLE: str(folder)}, request
    )


def print_row(one: Contender, *, seconds: float) -> None:
    """Serves, warms and loads it, prints what it did and the CPU that a request took of the server: that is no wait."""
    cells = []
    with started(one.service, one.variables) as server:
        n_warming, warming = WARMED
        load(server.port, one.request, n_connections=n_warming, seconds=warming)
        for n in CONNECTIONS:
            before = server.cpu_seconds()
            found = load(server.port, one.request, n_connections=n, seconds=seconds)
            cpu = 1e3 * (server.cpu_seconds() - before) / found.n_answered
            told = f"{found.requests_per_second:7.0f} {found.p50_ms:7.2f} {found.p99_ms:7.2f} {cpu:7.2f}  "
            cells.append(told)
    print(f"{one.title:46}  " + "  ".join(cells), flush=True)


def steps(workspace: Workspace, *, n_customers: int, n: int = 400) -> dict[str, float]:
    """Where the time of one decision goes: milliseconds by step, medians of many; a step without those inside it."""
    measured: dict[str, list[float]] = defaultdict(list)
    spent = Spent(time.perf_counter)
    inside: list[Step] = [
        (people.People, "asked_for", "who they are"),
        (online.OnlineFeatures, "read_current", "their row of features"),
        (deciding, "score_customers", "two models"),
        (compose.Composer, "prepare", "rules of the catalogue, texts, values"),
        (committing, "read_facts_together", MEANWHILE[0]),
        (committing.Pending, "settled", MEANWHILE[1]),
        (committing, "write_decisions", MEANWHILE[2]),
        (taking.Taken, "write", MEANWHILE[3]),
        (ledger.Ledger, "write", WAITED_FOR),
        (deciding.Settled, "told", "the answer"),
    ]
    with Engine(workspace) as engine:
        engine.warm_up()
        with spent.noting(inside):
            for number in range(n):
                spent.milliseconds.clear()
                customer = f"c-{1 + number % n_customers}"
                asked = DecisionRequest(customer_id=customer, placement="chat_reply", channel="web", locale="hi-IN")
                started = time.perf_counter()
                engine.decide(asked)
                whole = (time.perf_counter() - started) * 1e3
                spent.milliseconds[WAITED_FOR] -= sum(spent.milliseconds[title] for title in MEANWHILE)
                for title, milliseconds in spent.milliseconds.items():
                    measured[title].append(milliseconds)
                measured["everything else"].append(whole - sum(spent.milliseconds.values()))
    titles = [*(title for _, _, title in inside), "everything else"]
    return {title: statistics.median(measured[title]) for title in titles}


@dataclass(frozen=True)
class Server:
    """A service that answers.

    Attributes:
        port: of 127.0.0.1.
        pid: of the process above its workers.
    """

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """What it and its workers have used so far."""
        return sum(_cpu_seconds(pid) for pid in _family_of(self.pid))


def _family_of(pid: int) -> list[int]:
    """A process and all that came of it; Linux only, as the workers are."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in _family_of(int(child)))]


def _cpu_seconds(pid: int) -> float:
    told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(service: str, variables: Mapping[str, str]) -> Iterator[int]:
    """As `started`; gives the port."""
    with started(service, variables) as server:
        yield server.port


@contextmanager
def started(service: str, variables: Mapping[str, str]) -> Iterator[Server]:
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
        yield Server(port, process.pid)
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
