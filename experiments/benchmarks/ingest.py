"""Durable events a second, and how soon a decision knows of one, beside a bare endpoint with one row a commit.

    python -m experiments.benchmarks.ingest --stored 10000000 --seconds 5

Both have two workers on this machine's cores, which the client shares; both wait for the disk before they answer; both
hold `--stored` message ids already, Rapport also as many events in its lake. What Rapport does more: a verdict for each
event, identity, the event contract, and everything that lets the next decision know of it.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import numpy as np

from experiments.benchmarks.decisions import STARTS_WITHIN_SECONDS, free_port, is_ready, served
from experiments.benchmarks.decisions_world import fill_workspace
from experiments.benchmarks.ingest_services import DATABASE, SCHEMA
from experiments.benchmarks.load import load, post
from features.database import connect
from features.event_log import EventLog
from features.workspace import WORKSPACE_VARIABLE, Workspace

CONNECTIONS = 16
BATCHES = (1, 10, 100)
KINDS = ("Product Viewed", "Product Added", "Page Viewed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=10_000_000, help="events there already")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--looks", type=int, default=400, help="times to look how soon a decision knows")
    parser.add_argument("--keep", type=Path, help="a folder to keep the world in, and to find it again")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="rapport-ingest-"))
    try:
        workspace, bare = _world(folder, n_events=arguments.stored, n_customers=arguments.customers)
        ours = {WORKSPACE_VARIABLE: str(workspace.root)}
        title = f"{CONNECTIONS} connections, {arguments.stored:,} stored"
        print(f"{title:44}" + "".join(f"  batches of {size:<22}" for size in BATCHES))
        print(f"{'':44}" + "".join(f"  {'events/s':>10} {'p50 ms':>10} {'p99 ms':>10}" for _ in BATCHES))
        contenders: list[tuple[str, Callable[[], AbstractContextManager[int]]]] = [
            ("bare FastAPI, one row a commit", lambda: _bare(bare)),
            ("Rapport, durable, with verdicts", lambda: served("serving.service:Rapport", ours)),
        ]
        for name, serve in contenders:
            cells = []
            with serve() as port:
                for size in BATCHES:
                    events = _Events(arguments.customers, size=size)
                    found = load(port, events.request, n_connections=CONNECTIONS, seconds=arguments.seconds)
                    rate = found.requests_per_second * size
                    cells.append(f"  {rate:10,.0f} {found.p50_ms:10.1f} {found.p99_ms:10.1f}")
            print(f"{name:44}" + "".join(cells), flush=True)
        with served("serving.service:Rapport", ours) as port:
            _print_visible(port, arguments)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


class _Events:
    """Requests of distinct events, made as cheaply as can be: the client shares the cores."""

    _numbers = itertools.count()

    def __init__(self, n_customers: int, *, size: int) -> None:
        self._random, self._n_customers, self._size = random.Random(size), n_customers, size
        self._run = f"{time.time_ns():x}"
        self._now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())

    def request(self) -> bytes:
        events = ",".join(self._event() for _ in range(self._size))
        return post("/v1/batch", f'{{"batch":[{events}],"sentAt":"{self._now}"}}'.encode())

    def _event(self) -> str:
        n, customer = next(self._numbers), int(self._random.random() * self._n_customers) + 1
        message_id = f"node-{n * 2654435761 % 4294967296:08x}-{self._run}-{n}"
        return (
            f'{{"type":"track","messageId":"{message_id}","userId":"c-{customer}","event":"{KINDS[n % len(KINDS)]}",'
            f'"timestamp":"{self._now}","properties":{{"products":[{{"product_id":"p{n % 500}","category":"c{n % 7}",'
            '"price":499.0,"quantity":1}],"currency":"INR"},"context":{"locale":"hi-IN",'
            '"library":{"name":"bench","version":"1"},"campaign":{"source":"google","medium":"cpc"}}}'
        )


def _print_visible(port: int, arguments: argparse.Namespace) -> None:
    """From the 202 of an event to the answer of a decision that rests on it, one after the other and under load."""
    print()
    print(f"{'from 202 to a decision that knows, ms':44}  {'p50':>8} {'p99':>8} {'max':>8} {'did not know':>14}")
    for name, background in (("no other load", 0), ("beside 500 events/s", 500)):
        stop = threading.Event()
        pushing = threading.Thread(target=_push, args=(port, background, arguments.customers, stop), daemon=True)
        if background:
            pushing.start()
        taken, blind = _looks(port, n=arguments.looks, n_customers=arguments.customers)
        stop.set()
        p50, p99, longest = np.percentile(taken, [50, 99, 100])
        print(f"{name:44}  {p50:8.1f} {p99:8.1f} {longest:8.1f} {blind:8} of {len(taken):,}", flush=True)


def _looks(port: int, *, n: int, n_customers: int) -> tuple[list[float], int]:
    drawn, taken, blind = random.Random(3), [], 0
    with (
        closing(http.client.HTTPConnection("127.0.0.1", port)) as telling,
        closing(http.client.HTTPConnection("127.0.0.1", port)) as asking,
    ):
        for look in range(n):
            customer = f"c-{drawn.randint(1, n_customers)}"
            asked = {"customer_id": customer, "placement": "chat_reply", "channel": "web", "locale": "hi-IN"}
            told = {"userId": customer, "messageId": f"look-{time.time_ns()}-{look}", "event": "Product Viewed"}
            sent = time.time()
            _call(telling, "/v1/track", told)
            acknowledged = time.perf_counter()
            answer = _call(asking, "/v1/decisions", asked)
            taken.append((time.perf_counter() - acknowledged) * 1e3)
            # A row that was computed before the event was sent is older than that.
            blind += not 0 <= answer["features_age_seconds"] <= time.time() - sent
    return taken, blind


def _push(port: int, per_second: int, n_customers: int, stop: threading.Event) -> None:
    events, size = _Events(n_customers, size=10), 10
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        while not stop.wait(size / per_second):
            body = events.request().split(b"\r\n\r\n", 1)[1]
            connection.request("POST", "/v1/batch", body, {"content-type": "application/json"})
            connection.getresponse().read()


def _call(connection: http.client.HTTPConnection, path: str, body: Mapping[str, str]) -> dict[str, float]:
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status not in (200, 202):
        raise RuntimeError(f"{path} answered {response.status}: {content.decode()}")
    answered: dict[str, float] = json.loads(content)
    return answered


def _world(folder: Path, *, n_events: int, n_customers: int) -> tuple[Workspace, Path]:
    """A workspace and the bare endpoint's database, both with so many ids in them; found again where it is kept."""
    workspace, bare = Workspace(folder / "shop"), folder / "bare.db"
    if bare.exists():
        return workspace, bare
    started = time.perf_counter()
    fill_workspace(workspace, n_events=n_events, n_customers=n_customers)
    with closing(connect(workspace.database)) as connection:
        EventLog(connection)
        connection.executemany("INSERT INTO message_ids VALUES (?)", ((key,) for key in _ids(n_events)))
        connection.commit()
    unfinished = bare.with_suffix(".partial")
    with closing(sqlite3.connect(unfinished)) as connection:
        connection.execute(SCHEMA)
        rows = ((key.hex(), "c-1", KINDS[0], "{}") for key in _ids(n_events))
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    unfinished.rename(bare)
    print(f"made a world of {n_events:,} events in {time.perf_counter() - started:.0f} s", flush=True)
    return workspace, bare


def _ids(n: int) -> Iterator[bytes]:
    """Random ids, rising, so that filling the tables takes seconds; those that come later fall between them."""
    random_bytes = np.random.default_rng(1).integers(0, 2**63, size=n, dtype=np.int64)
    for number in np.sort(random_bytes).tolist():
        yield (number * 2).to_bytes(8, "big") + b"12345678"


@contextmanager
def _bare(database: Path) -> Iterator[int]:
    port = free_port()
    app, quiet = "experiments.benchmarks.ingest_services:app", ("--no-access-log", "--log-level", "warning")
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--workers", "2", *quiet],
        env={**os.environ, DATABASE: str(database)},
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_SECONDS
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("The bare endpoint did not become ready.")
            time.sleep(0.2)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
