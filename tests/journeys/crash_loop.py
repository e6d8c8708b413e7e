"""Kills the server at random moments under load, and counts what it had acknowledged.

`python -m tests.journeys.crash_loop --kills 50` prints a row for each kill. Killed is in turn the whole server, one
worker of two, and now and then a server that is still starting. After each, every id that was ever acknowledged is
looked for in the database; at the end also every id that is there twice, that nobody sent, and every count that was
moved twice. It ends with exit code 1 where one thing is wrong.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from experiments.records import HOLDOUT
from features.brand import load_brand
from features.catalogue import NOTHING, load_catalogue
from features.starting import write_starter
from features.workspace import Workspace
from tests.journeys.crash_load import KINDS, Book, Client
from tests.journeys.crash_server import Server

ALL, WORKER, STARTING = "server", "worker", "starting"
_IDS = {
    "events": "SELECT event_id FROM event_log",
    "decisions": "SELECT decision_id FROM decisions",
    "outcomes": "SELECT outcome_id FROM outcomes",
}


@dataclass(frozen=True, slots=True)
class Round:
    """One kill and what it did."""

    number: int
    killed: str
    uptime_seconds: float  # from ready, or for one that was starting from its start
    acknowledged: dict[str, int]  # in this round, by kind
    n_unanswered: int
    n_lost: int
    n_doubled: int
    until_ready_seconds: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything at the end; a fault is one line for people."""

    rounds: list[Round]
    acknowledged: dict[str, int]
    n_unanswered: int  # in the end: a client may notice that its server died only after the round is counted
    faults: list[str]


def crash_loop(
    folder: Path,
    *,
    kills: int,
    seed: int,
    n_clients: int = 6,
    longest_seconds: float = 4.0,
    tell: Callable[[str], object] = lambda line: None,
) -> Findings:
    """Loads and kills a server.

    Args:
        folder: a new workspace is made in it.
        kills: how often it is killed.
        seed: of the moments and of what the clients ask.
        n_clients: threads, each with a connection of its own.
        longest_seconds: a kill comes up to so long after the server is ready.
        tell: is given the table, line by line.
    """
    workspace = Workspace(folder / "shop")
    write_starter(workspace.root)
    server, book, moments = Server(workspace.root, log=folder / "server.log"), Book(), random.Random(seed)
    server.start()
    rounds: list[Round] = []
    try:
        server.wait_until_ready()
        tell(HEADER)
        with _loaded(server.port, book, n_clients=n_clients, seed=seed):
            for number, killed in enumerate(islice(_turns(), kills), start=1):
                wait = moments.uniform(0.1, longest_seconds)
                rounds.append(_round(server, book, workspace, number=number, killed=killed, wait=wait))
                tell(row(rounds[-1]))
        faults = book.faults + _faults(workspace, book)
    finally:
        server.close()
    return Findings(rounds, book.counts(), book.n_unanswered, faults)


def _turns() -> Iterator[str]:
    """What is killed: mostly the whole server and one worker in turn."""
    while True:
        yield from (ALL, WORKER, ALL, WORKER, ALL, STARTING, ALL, WORKER)


@contextmanager
def _loaded(port: int, book: Book, *, n_clients: int, seed: int) -> Iterator[None]:
    clients = [Client(port, book, name=f"{n}", seed=seed * 1_000 + n) for n in range(n_clients)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.finish()
    for client in clients:
        client.join(timeout=120)
        if client.is_alive():
            book.fault(f"client {client.name} is still without an answer")


def _round(server: Server, book: Book, workspace: Workspace, *, number: int, killed: str, wait: float) -> Round:
    before, unanswered = book.counts(), book.n_unanswered
    time.sleep(wait)
    if killed == WORKER:
        server.kill_worker()
    else:
        server.kill_all()
        if killed == STARTING:
            server.start()
            time.sleep(wait)
            server.kill_all()
    after, ids, n_unanswered = book.counts(), book.ids(), book.n_unanswered - unanswered
    n_lost, n_doubled = _lost_and_doubled(workspace, ids)
    if killed != WORKER:
        server.start()
    return Round(
        number,
        killed,
        wait,
        {kind: after[kind] - before[kind] for kind in KINDS},
        n_unanswered,
        n_lost,
        n_doubled,
        server.wait_until_ready(),
    )


def _written(workspace: Workspace) -> dict[str, list[str]]:
    with closing(sqlite3.connect(workspace.database)) as connection:
        return {kind: [row[0] for row in connection.execute(query)] for kind, query in _IDS.items()}


def _lost_and_doubled(workspace: Workspace, acknowledged: dict[str, set[str]]) -> tuple[int, int]:
    written = _written(workspace)
    n_lost = sum(len(acknowledged[kind] - set(written[kind])) for kind in KINDS)
    return n_lost, sum(len(ids) - len(set(ids)) for ids in written.values())


def _faults(workspace: Workspace, book: Book) -> list[str]:
    """What is wrong once every client has its last answer: then what is written is what was acknowledged."""
    faults, acknowledged = [], book.ids()
    for kind, ids in _written(workspace).items():
        faults += [f"{kind}: {one} was acknowledged and is lost" for one in acknowledged[kind] - set(ids)]
        faults += [f"{kind}: {one} is there and was acknowledged to nobody" for one in set(ids) - acknowledged[kind]]
        if len(ids) > len(set(ids)):
            faults.append(f"{kind}: {len(ids) - len(set(ids))} are there twice")
    with closing(sqlite3.connect(workspace.database)) as connection:
        faults += _wrong_answers(connection, book)
        faults += _wrong_counts(connection, workspace)
        if (state := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            faults.append(f"the database is broken: {state}")
    return faults


def _wrong_answers(connection: sqlite3.Connection, book: Book) -> list[str]:
    written = dict(connection.execute("SELECT decision_id, action_id FROM decisions").fetchall())
    return [
        f"decisions: {one} was answered {told} and is written as {written.get(one)}"
        for one, told in book.acknowledged["decisions"].items()
        if (told or NOTHING) != written.get(one, told)
    ]


def _wrong_counts(connection: sqlite3.Connection, workspace: Workspace) -> list[str]:
    """The counts that decisions learn from, beside the rows that they count."""
    brand = load_brand(workspace)
    goals = {action.id: action.goal for action in load_catalogue(workspace, brand).actions}
    counted = connection.execute("SELECT sum(n_decided), sum(n_converted) FROM action_statistics").fetchone()
    arms = "FROM decisions WHERE arm <> ?"
    (n_decided,) = connection.execute(f"SELECT count(*) {arms}", (HOLDOUT,)).fetchone()
    converted = connection.execute(
        f"SELECT DISTINCT decision_id, action_id, goal FROM outcomes JOIN (SELECT decision_id, action_id {arms}) "
        "USING (decision_id) WHERE outcome = 'converted'",
        (HOLDOUT,),
    ).fetchall()
    n_converted = sum(goals.get(action, goal) == goal for _, action, goal in converted)
    expected = (n_decided, n_converted)
    return [] if tuple(counted) == expected else [f"counted are {counted} decisions and conversions, not {expected}"]


HEADER = (
    f"{'kill':>4} {'killed':<9}{'uptime s':>9}{'events':>9}{'decisions':>11}{'outcomes':>10}"
    f"{'unanswered':>12}{'lost':>6}{'doubled':>9}{'s to ready':>12}"
)


def row(one: Round) -> str:
    """One line of the table; acknowledged in this round are events, decisions and outcomes."""
    events, decisions, outcomes = (one.acknowledged[kind] for kind in KINDS)
    return (
        f"{one.number:>4} {one.killed:<9}{one.uptime_seconds:>9.2f}{events:>9}{decisions:>11}{outcomes:>10}"
        f"{one.n_unanswered:>12}{one.n_lost:>6}{one.n_doubled:>9}{one.until_ready_seconds:>12.1f}"
    )


def summary(found: Findings) -> str:
    """What it comes to."""
    said = ", ".join(f"{found.acknowledged[kind]} {kind}" for kind in KINDS)
    wrong = f"{len(found.faults)} faults" if found.faults else "every one is there exactly once, and nothing else"
    return "\n".join([f"{len(found.rounds)} kills, acknowledged {said}: {wrong}.", *found.faults[:20]])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Kills the server at random moments under load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rapport-crash-") as folder:
        found = crash_loop(
            Path(folder), kills=asked.kills, seed=asked.seed, tell=lambda line: sys.stdout.write(f"{line}\n")
        )
    sys.stdout.write(f"{summary(found)}\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
