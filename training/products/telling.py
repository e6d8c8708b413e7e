"""The items of everybody's next purchase, by the ranker of a next-purchase version, as of the day of asking."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.brand import load_brand
from features.lake import N_BUCKETS
from training.order_days import day_of
from training.products.baskets import CUSTOMERS_A_PART, Baskets, read_baskets
from training.products.candidates import INPUTS, Items, candidates_of, items_of
from training.products.ranking import Ranker, fit_ranker, ranked

if TYPE_CHECKING:
    from features.workspace import Workspace
    from training.next_purchase import Trained

CUSTOMERS_AT_ONCE = 10_000  # some hundred candidates each
CUSTOMERS_A_PASS = 400_000  # whose orders lie in memory together


def learned_ranker(
    workspace: Workspace, *, as_of: datetime, horizon_days: int, n_customers: int, seed: int
) -> tuple[Ranker, str] | None:
    """A ranker, and the kind of its items; None where orders do not say what was bought.

    Args:
        workspace: whose orders.
        as_of: nothing later is known.
        horizon_days: within how many days the next orders that teach came.
        n_customers: of the brand; where they are very many a part of them teaches.
        seed: of LightGBM.
    """
    known = read_baskets(workspace, known_until=as_of, n_parts=_parts(n_customers))
    if known is None:
        return None
    day = day_of(as_of, time_zone=load_brand(workspace).time_zone)
    return fit_ranker(known, day, horizon_days=horizon_days, seed=seed), known.kind


def with_products(trained: Trained, learned: tuple[Ranker, str] | None) -> Trained:
    """The same version with what the next order is of; as it was where orders do not say what was bought.

    Args:
        trained: the horizons that will be served.
        learned: by `learned_ranker`, where the longest of these horizons is the window that teaches.
    """
    if learned is None:
        return trained
    ranker, kind = learned
    description = trained.description | {"products": described(ranker, kind, booster=len(trained.boosters))}
    more = () if ranker.booster is None else (ranker.booster,)
    return replace(trained, description=description, other_boosters=(*trained.other_boosters, *more))


def described(ranker: Ranker, kind: str, *, booster: int) -> dict[str, Any]:
    """What model.json keeps; the booster stands in a file of its own, by its place."""
    return {
        "kind": kind,
        "shipped": ranker.shipped,
        "because": ranker.because,
        "judged": ranker.judged,
        "inputs": list(INPUTS),
        "booster": booster if ranker.booster is not None else None,
    }


def next_products(
    workspace: Workspace, customer_keys: NDArray[np.int64], *, as_of: datetime, kind: str, booster: str | None
) -> list[list[str] | None]:
    """The ten items that each customer will most probably buy next, the most probable first; None without orders.

    Args:
        workspace: whose orders.
        customer_keys: rising, shape `(n,)`.
        as_of: nothing later is known.
        kind: of the version's items.
        booster: the version's; None where frequency ranks.
    """
    day = day_of(as_of, time_zone=load_brand(workspace).time_zone)
    n_parts = _parts_of_buckets(len(customer_keys))
    ranker, told = Ranker(booster, {}, ""), dict[int, list[str]]()
    for part in range(n_parts):
        baskets = read_baskets(workspace, known_until=as_of, part=part, n_parts=n_parts, kind=kind)
        if baskets is not None:
            known = baskets.before(day)
            told |= _of_part(ranker, known, day, np.intersect1d(customer_keys, known.customer_keys))
    return [told.get(key) for key in customer_keys.tolist()]


def _of_part(ranker: Ranker, known: Baskets, day: int, keys: NDArray[np.int64]) -> dict[int, list[str]]:
    items: Items = items_of(known, day)
    told: dict[int, list[str]] = {}
    for start in range(0, len(keys), CUSTOMERS_AT_ONCE):
        asked = keys[start : start + CUSTOMERS_AT_ONCE]
        candidates = candidates_of(known, day, asked, items)
        lists = ranked(candidates, ranker.scores(candidates), known.names, n=len(asked))
        told |= dict(zip(asked.tolist(), lists, strict=True))
    return told


def _parts(n_customers: int) -> int:
    return max(1, -(-n_customers // CUSTOMERS_A_PART))


def _parts_of_buckets(n_customers: int) -> int:
    """So many that each lies in one bucket of the lake, which is read once for few parts; one where that is enough."""
    return 1 if n_customers <= CUSTOMERS_A_PASS else N_BUCKETS * -(-n_customers // (N_BUCKETS * CUSTOMERS_A_PASS))
