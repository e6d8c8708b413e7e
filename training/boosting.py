"""What every LightGBM fit here has in common: the same rows and seed give the same bytes."""

from __future__ import annotations

from typing import Any


def reproducible(*, seed: int, threads: int) -> dict[str, Any]:
    """LightGBM's parameters beside those that say what is learned.

    Args:
        seed: of everything that is drawn.
        threads: how many; the trees are the same with any number of them.
    """
    return {
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }
