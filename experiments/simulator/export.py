"""Writes the simulated past as a shop would hand it over, with its mapping; the truth goes to a folder of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from experiments.simulator.history import Batch, Plan, simulate_batches
from experiments.simulator.mapping import MAPPING
from experiments.simulator.tables import EXPORT_SCHEMA
from experiments.simulator.world import World
from features.faults import CallersMistake

EARLIEST, LATEST = dt.date(1990, 1, 1), dt.date(2100, 1, 1)  # of which festivals are known
EVENTS_FILE = "events.parquet"
MAPPING_FILE = "mapping.yaml"
_DICTIONARY_COLUMNS = [
    field.name for field in EXPORT_SCHEMA if field.name not in {"message_id", "time", "order_id", "total"}
]


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    folder: Path
    events: Path
    mapping: Path
    n_events: int
    first: dt.date
    end: dt.date


def simulate_history(
    folder: Path,
    *,
    customers: int,
    days: int,
    seed: int = 7,
    end: dt.date | None = None,
    progress: Callable[[int], None] | None = None,
) -> Export:
    """Simulates a brand's past and writes it into a folder.

    Args:
        folder: made where it is missing; gets `events.parquet`, `mapping.yaml` and `truth/`.
        customers: how many, at least 1.
        days: length of the history, 30 … 3650.
        seed: the same seed and `end` give the same rows.
        end: the history ends before midnight UTC of this day; default today.
        progress: called with the number of customers done since the last call.

    Raises:
        CallersMistake: a size is out of range.
    """
    plan = Plan(customers, days, seed, end or dt.datetime.now(dt.UTC).date())
    _check(plan)
    folder.mkdir(parents=True, exist_ok=True)
    events = folder / EVENTS_FILE
    batches: list[Batch] = []
    n_events = 0
    unfinished = events.with_suffix(".parquet.unfinished")
    with pq.ParquetWriter(
        unfinished, EXPORT_SCHEMA, compression="snappy", use_dictionary=_DICTIONARY_COLUMNS, write_statistics=False
    ) as writer:
        for batch in simulate_batches(plan):
            for table in batch.tables:
                writer.write_table(table)
                n_events += table.num_rows
            batches.append(Batch(batch.population, batch.state, []))
            if progress is not None:
                progress(len(batch.population))
    unfinished.replace(events)
    mapping = folder / MAPPING_FILE
    mapping.write_text(MAPPING, encoding="utf-8")
    World.at_the_end(plan, batches).save(folder)
    return Export(folder, events, mapping, n_events, plan.first, plan.end)


def _check(plan: Plan) -> None:
    """Everything that is wrong, at once."""
    sizes = (
        ("customers", plan.customers, 1, 5_000_000),
        ("days", plan.days, 30, 3_650),
        ("seed", plan.seed, 0, 2**63 - 1),
    )
    wrong = [(name, value, low, high) for name, value, low, high in sizes if not low <= value <= high]
    if not wrong and not EARLIEST.toordinal() + plan.days <= plan.end.toordinal() <= LATEST.toordinal():
        raise CallersMistake(
            f"Asked to simulate {plan.days:,} days before {plan.end}. All of them lie from {EARLIEST} until {LATEST}."
        )
    if wrong:
        asked = " and ".join(f"{name}={value}" for name, value, _, _ in wrong)
        rules = "; ".join(f"--{name} lies in {low:,} … {high:,}" for name, _, low, high in wrong)
        raise CallersMistake(f"Asked to simulate with {asked}. {rules}.")
