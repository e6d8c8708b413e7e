"""Every table of the models, from one command: next purchase, response, segments, each beside what one would pick.

    .venv/bin/python -m experiments.benchmarks.models [next-purchase] [expectations] [response] [segments]

Without a name, all of them. The real data is read from ../shared/data and imported into new workspaces each time.
"""

from __future__ import annotations

import argparse
import time
from importlib import import_module

TASKS = {  # and where each stands
    "next-purchase": "next_purchase",
    "expectations": "expectations",
    "response": "starbucks",
    "segments": "segments",
}


def main() -> None:
    """Prints the tables of the tasks asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help=f"of {', '.join(TASKS)}; default all")
    asked = parser.parse_args().task
    unknown = sorted(set(asked) - TASKS.keys())
    if unknown:
        parser.error(f"asked for {', '.join(unknown)}; there are {', '.join(TASKS)}")
    for name in asked or TASKS:
        started = time.perf_counter()
        print(f"\n## {name}\n", flush=True)
        import_module(f"experiments.benchmarks.models.{TASKS[name]}").main([])
        print(f"\n{name}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
