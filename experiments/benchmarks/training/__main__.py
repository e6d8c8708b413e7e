"""Training's cost: the job beside plain LightGBM, and the whole way of a mid-size retailer.

    .venv/bin/python -m experiments.benchmarks.training job --customers 500000
    .venv/bin/python -m experiments.benchmarks.training retailer --customers 2000000

Without a name, both. Each step runs in a process of its own, whose CPU and peak memory are the kernel's figures.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from experiments.benchmarks.training import job, retailer

TASKS = {"job": (job.main, 500_000, 8), "retailer": (retailer.main, 2_000_000, 20)}  # customers, and events of each


def main() -> None:
    """Prints the tables of the tasks asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help=f"of {', '.join(TASKS)}; default both")
    parser.add_argument("--customers", type=int, help="default 500,000 for the job, 2,000,000 for the retailer")
    parser.add_argument("--keep", type=Path, help="a folder to keep the worlds in, and to find them again")
    asked = parser.parse_args()
    unknown = sorted(set(asked.task) - TASKS.keys())
    if unknown:
        parser.error(f"asked for {', '.join(unknown)}; there are {', '.join(TASKS)}")
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="rapport-training-"))
    try:
        for name in asked.task or TASKS:
            task, usual, events_each = TASKS[name]
            n_customers = asked.customers or usual
            print(f"\n## {name}\n", flush=True)
            task(folder / name, n_customers=n_customers, n_events=events_each * n_customers)
    finally:
        if asked.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
