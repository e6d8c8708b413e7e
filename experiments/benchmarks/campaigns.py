"""A campaign beside single calls, in one run: decisions a second of one core, through the same app, without a socket.

Both go through the whole app and are durable before they are answered; what is divided by is this process's own CPU
time, its committer's included, so that what else the machine does counts for neither.

    python -m experiments.benchmarks.campaigns --customers 20000
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from experiments.benchmarks.decisions_world import make_world
from experiments.benchmarks.stepping import Spent, Step, print_steps
from features.workspace import Workspace
from serving import committing, compose, current, deciding, ledger
from serving.campaigns import running
from serving.contact import taking
from serving.engine import Engine
from serving.http import build_app

QUESTION = {"placement": "chat_reply", "channel": "web"}


async def ask(app: ASGIApp, path: str, body: bytes, *, kind: str) -> list[bytes]:
    """One request; the parts of its answer."""
    parts: list[bytes] = []
    bodies = iter((body,))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(bodies, b""), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise SystemExit(f"{path} answered {message['status']}")
        if message.get("body"):
            parts.append(message["body"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", kind.encode())],
    }
    await app(scope, receive, send)
    return parts


async def singles(app: ASGIApp, customers: list[str], *, at_once: int) -> int:
    """One call a customer, so many at once; gives how many."""
    waiting = iter(customers)

    async def one_after_the_other() -> None:
        for customer in waiting:
            body = json.dumps(QUESTION | {"customer_id": customer}).encode()
            await ask(app, "/v1/decisions", body, kind="application/json")

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return len(customers)


async def campaign(app: ASGIApp, customers: list[str]) -> int:
    """One call for all; gives how many were decided."""
    body = b"\n".join(json.dumps(part).encode() for part in (QUESTION, *customers))
    parts = await ask(app, "/v1/decisions/batch", body, kind="application/x-ndjson")
    last = json.loads(b"".join(parts).splitlines()[-1])
    return int(last["n_decided"])


STEPS: tuple[Step, ...] = (
    (running, "asked_of", "each customer's question"),
    (current.CurrentRows, "among", "their rows of features"),
    (deciding, "score_customers", "two models"),
    (compose.Composer, "prepare", "rules of the catalogue, texts, values"),
    (committing, "read_facts_together", "what the contact policy counts, read"),
    (committing.Pending, "settled", "contact policy, draw"),
    (committing, "write_decisions", "the records and their counts, written"),
    (taking.Taken, "add", "what is taken of budgets and caps"),
    (taking.Taken, "write", "contacts and budgets, written"),
    (ledger.Ledger, "_commit", "the transaction itself"),
    (deciding.Settled, "told", "the answers"),
    (running, "_line", "the answers as JSON"),
)


def steps(app: ASGIApp, customers: list[str]) -> dict[str, float]:
    """Where a campaign's CPU time goes: milliseconds a decision by step, without those inside it."""
    spent, cpu = Spent(time.thread_time), time.process_time()
    with spent.noting(STEPS):
        n = asyncio.run(campaign(app, customers))
    whole = (time.process_time() - cpu) * 1e3
    spent.milliseconds["everything else"] = whole - sum(spent.milliseconds.values())
    return {title: milliseconds / n for title, milliseconds in spent.milliseconds.items()}


def main() -> None:
    """Prints both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--singles", type=int, default=1_000)
    parser.add_argument("--world", type=Path, help="A folder with the world of an earlier run.")
    asked = parser.parse_args()
    folder = asked.world or Path(tempfile.mkdtemp())
    workspace = Workspace(folder / "shop")
    if not workspace.brand_file.is_file():
        workspace, _ = make_world(folder, n_customers=min(asked.customers, 5_000), events_each=20, naive_too=False)
    n_known = min(asked.customers, 5_000)
    customers = [f"c-{1 + n % n_known}" for n in range(asked.customers)]
    app = build_app()
    with Engine(workspace) as engine:
        app.state.engine = engine
        engine.warm_up()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)  # as the service does
        for name, ask_all, whom in (
            ("single calls, 1 at a time", partial(singles, at_once=1), customers[: asked.singles]),
            ("single calls, 16 at once", partial(singles, at_once=16), customers[: asked.singles]),
            ("a campaign", campaign, customers),
        ) * 2:
            began, cpu = time.perf_counter(), time.process_time()
            n = asyncio.run(ask_all(app, whom))
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            print(
                f"{name:25} {n:7,} decisions {1e6 * cpu / n:8.0f} µs of CPU each {n / cpu:8,.0f} a core {wall:6.1f} s"
            )
        print("\none decision of a campaign, CPU by step")
        print_steps(steps(app, customers))


if __name__ == "__main__":
    main()
