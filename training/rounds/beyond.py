"""What a next-purchase version says beyond its horizons, and of second purchases, and what people are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from training.beside import begun
from training.coming import WITHOUT, line_of, with_coming
from training.dataset import WorkspaceSource
from training.expected import ENOUGH_CUSTOMERS, lines_of, with_expected
from training.next_purchase import Trained
from training.order_days import read_order_days
from training.products.telling import learned_ranker, with_products
from training.second_purchase import judged_once
from training.some_customers import some_customers


def with_beyond(trained: Trained, source: WorkspaceSource, *, seed: int) -> Trained:
    """The same horizons with curve, expected orders and spend, and what the next order is of, where there is data."""
    horizon = max(one.horizon_days for one in trained.judged)
    ranker = begun(
        partial(
            learned_ranker,
            source.workspace,
            as_of=source.known_until,
            horizon_days=horizon,
            n_customers=source.n_customers,
            seed=seed,
        )
    )
    trained = with_coming(_with_second_purchase(trained, source), source, seed=seed)
    some = some_customers(source, most=ENOUGH_CUSTOMERS)
    orders = read_order_days(
        source.workspace,
        known_until=source.known_until,
        days_end_at=source.known_until,
        customer_keys=some.snapshot(some.known_until).customer_keys,
    )
    return with_products(with_expected(trained, source, orders, seed=seed), ranker())


def _with_second_purchase(trained: Trained, source: WorkspaceSource) -> Trained:
    """The same, each horizon with what it says of customers with one order-day."""
    heads = [
        head | ({} if (once := judged_once(one, source)) is None else {"judged_once": once})
        for head, one in zip(trained.description["heads"], trained.judged, strict=True)
    ]
    return replace(trained, description=trained.description | {"heads": heads})


def _second_purchase_lines(trained: Trained) -> list[str]:
    return [
        f"second purchase within {head['horizon_days']} days: {once['mean_probability']:.1%} said where "
        f"{once['base_rate']:.1%} of {once['n']:,} came back, AUC {_shown(once, 'auc', 3)}, slope "
        f"{_shown(once, 'calibration_slope', 2)}"
        for head in trained.description["heads"]
        if (once := head.get("judged_once")) is not None
    ]


def _shown(figures: Mapping[str, float], name: str, digits: int) -> str:
    return f"{figures[name]:.{digits}f}" if name in figures else "unknown"


def lines_of_beyond(trained: Trained) -> list[str]:
    """What the judging window says of it, for people."""
    coming, products = (trained.description.get(name) for name in ("coming", "products"))
    told = [WITHOUT if coming is None else line_of(coming["judged"])]
    told += lines_of(trained.description.get("expected")) + _second_purchase_lines(trained)
    return told if products is None else [*told, f"next purchase by {products['kind']}: {products['because']}"]


def details_of_beyond(trained: Trained) -> dict[str, Any]:
    """The same for a program."""
    coming, products = (trained.description.get(name) for name in ("coming", "products"))
    told = {} if coming is None else {"coming": coming["judged"]}
    told |= {"expected": trained.description["expected"]["judged"]} if "expected" in trained.description else {}
    once = {
        f"{head['horizon_days']}d": head["judged_once"]
        for head in trained.description["heads"]
        if "judged_once" in head
    }
    told |= {"second_purchase": once} if once else {}
    return told if products is None else told | {"products": products}
