"""The option `--seed` of every verb that learns or judges: the same range and words for all."""

from __future__ import annotations

from typing import Annotated

import typer

LARGEST_SEED = 2**32 - 1  # scikit-learn's

SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Same seed and data: same bytes and figures.")
]
