"""The whole way of a mid-size retailer, by the verbs that users type: import, build, train, materialise, score."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks.training.measure import HEADING, MIB, disk_bytes, disk_watched, run
from experiments.benchmarks.training.world import END, new_workspace, write_export

RAPPORT = str(Path(sys.executable).with_name("rapport"))


def main(folder: Path, *, n_customers: int, n_events: int) -> None:
    """Makes the export in the folder where it is not there yet, then a new workspace, and prints what each step took.

    Args:
        folder: holds `export` and `shop` afterwards.
        n_customers: of the retailer.
        n_events: of all of them in two years.
    """
    export, shop = folder / "export", folder / "shop"
    if not (export / "mapping.yaml").is_file():
        started = time.perf_counter()
        write_export(export, n_events=n_events, n_customers=n_customers)
        print(f"generated in {time.perf_counter() - started:.0f} s", flush=True)
    new_workspace(shop)
    print(f"{n_customers:,} customers, {n_events:,} events; the export takes {disk_bytes(export) / MIB:,.0f} MiB")
    print(f"{HEADING} {'disk MiB':>10} {'at most':>10}", flush=True)
    total = cpu = peak = 0.0
    left = fullest = 0
    for name, command in _steps(export):
        with disk_watched(shop) as most:
            cost = run([RAPPORT, *command, "--workspace", str(shop)])
            left = disk_bytes(shop)
        total, cpu, peak = total + cost.seconds, cpu + cost.cpu_seconds, max(peak, cost.peak_bytes / MIB)
        fullest = max(fullest, most(), left)
        print(f"{cost.line(name)} {left / MIB:10,.0f} {max(most(), left) / MIB:10,.0f}", flush=True)
    print(f"{'all of it':44} {total:9.1f} {cpu:9.1f} {peak:10,.0f} {left / MIB:10,.0f} {fullest / MIB:10,.0f}")


def _steps(export: Path) -> Iterator[tuple[str, list[str]]]:
    at = f"{END:%Y-%m-%d}"
    yield "import", ["import", str(export / "events"), "--mapping", str(export / "mapping.yaml")]
    yield "build: everyone as of the newest day", ["features", "build", "--as-of", at]
    yield "train segments", ["train", "segments"]
    yield "train next-purchase, 7, 30 and 90 days", ["train", "next-purchase"]
    yield "materialise", ["features", "materialize", "--as-of", at]
    yield "score", ["score"]
