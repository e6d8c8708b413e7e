"""What the contact rules cost of somebody to whom much was said: CPU a decision, by how many contacts may still count.

    python -m experiments.benchmarks.contacts

The caps are the decision benchmark's: three of the brand, one of each of 50 actions, of which none is near; and once
more where the customer is at the weekly one.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import yaml

from experiments.benchmarks.decisions_world import add_rules
from features.brand import load_brand
from features.catalogue import load_catalogue
from features.database import connect
from features.starting import write_starter
from features.workspace import Workspace
from serving.contact.reading import read_facts
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.ledger import Ledger

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
N_CONTACTS = (0, 10, 100, 1_000, 10_000)
N_ACTIONS, N_TIMES = 50, 20
EVERY_US = 4 * 60_000_000  # 10,000 of them are four weeks
_ROW = f"INSERT INTO contacts VALUES ({', '.join('?' * 18)})"


def main() -> None:
    """Prints the table."""
    print("contacts of one customer      no cap is near    at the weekly cap of 20")
    with tempfile.TemporaryDirectory(prefix="rapport-contacts-") as folder:
        wide, narrow = (_caps(Path(folder) / name, weekly=weekly) for name, weekly in (("wide", 10**6), ("narrow", 20)))
        database = Path(folder) / "ledger.db"
        Ledger(database).close()
        with closing(connect(database)) as connection:
            for n in N_CONTACTS:
                _say(connection, n)
                print(f"{n:24,}  {_cost(connection, wide):14.3f} ms  {_cost(connection, narrow):18.3f} ms")


def _caps(folder: Path, *, weekly: int) -> ContactRules:
    """Those of the decision benchmark, over so many actions of the starter's catalogue."""
    workspace = Workspace(folder)
    write_starter(workspace.root)
    add_rules(workspace, n_actions=N_ACTIONS)
    brand = yaml.safe_load(workspace.brand_file.read_text(encoding="utf-8"))
    brand["contact_policy"]["frequency_caps"]["weekly"]["at_most"] = weekly
    workspace.brand_file.write_text(yaml.safe_dump(brand, allow_unicode=True, sort_keys=False), encoding="utf-8")
    loaded = load_brand(workspace)
    return ContactRules(loaded, load_catalogue(workspace, loaded))


def _say(connection: sqlite3.Connection, n: int) -> None:
    at_us = to_us(NOW)
    connection.execute("DELETE FROM contacts")
    connection.executemany(_ROW, _rows(n, at_us))
    connection.commit()


def _rows(n: int, at_us: int) -> Iterable[tuple[object, ...]]:
    for number in range(n):
        instant = at_us - (number + 1) * EVERY_US
        said = (f"d{number}", 0, 1, f"a{number % N_ACTIONS}", "web", "", "customer")
        yield (*said, instant, instant, None, None, None, instant, None, 0, None, None, None)


def _cost(connection: sqlite3.Connection, rules: ContactRules) -> float:
    took = []
    for _ in range(N_TIMES):
        started = time.thread_time()
        read_facts(connection, (1,), at=NOW, rules=rules, initiated_by=("customer",))
        took.append((time.thread_time() - started) * 1e3)
    return statistics.median(took)


if __name__ == "__main__":
    main()
