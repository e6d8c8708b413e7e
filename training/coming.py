"""What a next-purchase version says beyond its horizons, and how good that was on the window that judged the longest.

The curve goes through every served horizon. To be judged it stands where the longest horizon's newest closed window
begins: that horizon's fit is the one that was judged there; the shorter ones are fitted to what was known then, by the
same recipe, so nothing that was chosen later has a part in it. Judged are the customers who had ordered by then, of
very many every so many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset import Source
from training.evaluation import auc, log_losses
from training.fitting import fit_repeat_buying
from training.heads import Head, newest_split
from training.members import Customers, Memoryless
from training.next_purchase import Judged, Trained, fit_head
from training.recipes import NO_SEASON
from training.repeat_buying import BG_NBD, PARETO_NBD
from training.season import Ahead
from training.served.coming import Coming, NextOrder
from training.served.curve import LONGEST_DAYS, SHARES, coverage, said_coverage
from training.served.repeat_buying import Rhythm
from training.some_customers import some_customers
from training.split import TooLittleData, gate_cutoff
from training.year_ahead import year_beyond

Floats = NDArray[np.float64]

KINDS = (BG_NBD, PARETO_NBD)
ENOUGH_BUYERS = 40_000  # whose intervals are held against what came: the share held is then known within 0.4%
WITHOUT = "next order, P(still buying) and horizons in between are not said: no model of repeat buying can be fitted"


def with_coming(trained: Trained, source: Source, *, seed: int = 0) -> Trained:
    """The same version with its curve; as it was where no model of repeat buying can be fitted.

    Args:
        trained: the horizons that will be served.
        source: that taught them.
        seed: of LightGBM.
    """
    longest = trained.judged[-1]
    now, then = (repeat_models(source, as_of) for as_of in (source.known_until, longest.as_of))
    if not now or not then or longest.head is None:
        return trained
    described = {
        "repeat_buying": [asdict(fit) for fit in now],
        "year": list(year_of(source, trained.heads[-1])),
        "judged": _judged(trained, longest, source, then, seed),
    }
    return replace(trained, description=trained.description | {"coming": described})


def cutoffs_of_curve(source: Source, *, horizons_days: Sequence[int]) -> set[datetime]:
    """Every cutoff that judging the curve will look at beside those of the horizons themselves."""
    *shorter, longest = sorted(horizons_days)
    used_at = gate_cutoff(source.known_until, horizon_days=longest)
    cutoffs: set[datetime] = set()
    for horizon in shorter:
        with contextlib.suppress(TooLittleData):
            cutoffs |= set(newest_split(source, horizon_days=horizon, used_at=used_at).train)
    return cutoffs


def repeat_models(source: Source, as_of: datetime) -> tuple[Memoryless, ...]:
    """BG/NBD and Pareto/NBD, fitted to everything that was known then; none with too few buyers, or no history."""
    with np.errstate(all="ignore"):
        found = (fit_repeat_buying(source, as_of, kind=kind) for kind in KINDS)
        return tuple(fit for fit in found if isinstance(fit, Memoryless))


def year_of(source: Source, head: Head) -> tuple[float, ...]:
    """How the year goes on behind a head's horizon; nothing where it has no season, or no year tells."""
    return () if head.recipe.season == NO_SEASON else year_beyond(source.n_orders, Ahead.of(source, head.split))


def waits_of(source: Source, customer_keys: NDArray[np.int64], as_of: datetime, *, days: int) -> Floats:
    """On which day after `as_of` each customer ordered next, 1 for the first 24 hours; infinite where not within them.

    Args:
        source: whose orders.
        customer_keys: rising, shape `(n,)`.
        as_of: where one stands.
        days: how many there are to look at; closed.
    """
    waits = np.full(len(customer_keys), np.inf)
    for day in range(days, 0, -1):
        ordered = source.happened(as_of + timedelta(days=day - 1), 1)
        waits[np.isin(customer_keys, ordered)] = day
    return waits


def _judged(
    trained: Trained, longest: Judged, source: Source, fits: tuple[Memoryless, ...], seed: int
) -> dict[str, Any]:
    snapshot, horizon = source.snapshot(longest.as_of), longest.horizon_days
    customers = Customers(snapshot.X, source.inputs)
    rhythm = Rhythm(fits, customers.history())
    asked = np.flatnonzero(rhythm.bought)
    asked = asked[:: max(1, -(-len(asked) // ENOUGH_BUYERS))]
    anchors = {horizon: longest.probability[asked]} | _shorter(trained, longest, source, snapshot.X[asked], seed=seed)
    rising = np.maximum.accumulate([anchors[days] for days in sorted(anchors)], axis=0)
    history = replace(rhythm.history, **{name: getattr(rhythm.history, name)[asked] for name in ("x", "t_x", "T")})
    told = dict(zip(sorted(anchors), rising, strict=True))
    coming = Coming(Rhythm(fits, history), told, () if longest.head is None else year_of(source, longest.head))
    waits = waits_of(source, snapshot.customer_keys[asked], longest.as_of, days=horizon)
    return {
        "as_of": longest.as_of.isoformat(),
        "days": horizon,
        "n": len(asked),
        "through_days": sorted(anchors),
        "curve": [_at(coming, days, waits) for days in _days(horizon)],
        "next_order": _interval(coming, coming.next_order(), waits, horizon),
        "still_buying": _still_buying(coming.still_buying(), (waits <= horizon).astype(np.uint8)),
    }


def _shorter(
    trained: Trained, longest: Judged, source: Source, X: NDArray[np.float32], *, seed: int
) -> dict[int, Floats]:
    """What shorter horizons would have said then of these rows; of very many customers, some teach them."""
    head = longest.head
    if head is None:
        return {}
    said = {}
    for one in trained.judged[:-1]:
        with contextlib.suppress(TooLittleData):
            fitted = fit_head(
                some_customers(source),
                horizon_days=one.horizon_days,
                used_at=longest.as_of,
                recipe=head.recipe,
                seed=seed,
                is_tried=True,
            )
            said[one.horizon_days] = fitted.predict(X)
    return said


def _days(horizon_days: int) -> list[int]:
    return sorted({max(1, round(horizon_days * quarter / 4)) for quarter in (1, 2, 3, 4)})


def _at(coming: Coming, days: int, waits: Floats) -> dict[str, float]:
    y, said = (waits <= days).astype(np.uint8), coming.p_any(days)
    return _rounded(
        {
            "days": days,
            "base_rate": y.mean(),
            "mean_probability": said.mean(),
            "auc": auc(y, said),
            "log_loss": log_losses(y, said).mean(),
        }
    )


def _interval(coming: Coming, next_order: NextOrder, waits: Floats, horizon_days: int) -> dict[str, float]:
    """What the intervals held, and what the curve itself expected them to."""
    low, high = next_order.low, next_order.high
    ends = np.isfinite(high)
    told = {
        "interval": SHARES[1] - SHARES[0],
        "coverage": coverage(low, high, waits, horizon_days=horizon_days),
        "said": said_coverage(coming.laid_out, low, high, horizon_days=horizon_days),
        "share_with_a_day": float(np.isfinite(next_order.middle).mean()),
        "share_ending_within_a_year": float(ends.mean()),
    }
    widths = {"median_width_days": float(np.median(high[ends] - low[ends] + 1.0))} if ends.any() else {}
    return _rounded(told | widths)


def _still_buying(alive: Floats, ordered: NDArray[np.uint8]) -> dict[str, float]:
    """Nobody sees who is gone: beside it stands who ordered within the window."""
    return _rounded({"mean": alive.mean(), "ordered": ordered.mean(), "auc": auc(ordered, alive)})


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """As in every model.json; what is no number is left out."""
    return {name: round(float(value), 6) for name, value in figures.items() if np.isfinite(value)}


def line_of(judged: Mapping[str, Any]) -> str:
    """What the judging window says of the curve, in one line."""
    interval, alive = judged["next_order"], judged["still_buying"]
    losses = ", ".join(f"{one['log_loss']:.4f} at {one['days']:.0f}" for one in judged["curve"])
    return (
        f"any horizon from 1 to {LONGEST_DAYS} days: log-loss {losses} days; the next order's "
        f"{interval['interval']:.0%} interval held {interval['coverage']:.1%} ({interval['said']:.1%} said); P(still "
        f"buying) {alive['mean']:.1%} on average, where {alive['ordered']:.1%} ordered within {judged['days']} days"
    )
