"""What a next-purchase version says beyond its horizons, added to it, and what people are told of that."""

from __future__ import annotations

from typing import Any

from training.coming import WITHOUT, line_of, with_coming
from training.dataset import WorkspaceSource
from training.next_purchase import Trained
from training.products.telling import with_products


def with_beyond(trained: Trained, source: WorkspaceSource, *, seed: int) -> Trained:
    """The same horizons with their curve, and with what the next order is of, where there is data for it."""
    n_customers = len(source.snapshot(source.known_until).X)
    return with_products(
        with_coming(trained, source, seed=seed),
        source.workspace,
        as_of=source.known_until,
        n_customers=n_customers,
        seed=seed,
    )


def lines_of_beyond(trained: Trained) -> list[str]:
    """What the judging window says of it, for people."""
    coming, products = (trained.description.get(name) for name in ("coming", "products"))
    told = [WITHOUT if coming is None else line_of(coming["judged"])]
    return told if products is None else [*told, f"next purchase by {products['kind']}: {products['because']}"]


def details_of_beyond(trained: Trained) -> dict[str, Any]:
    """The same for a program."""
    coming, products = (trained.description.get(name) for name in ("coming", "products"))
    told = {} if coming is None else {"coming": coming["judged"]}
    return told if products is None else told | {"products": products}
