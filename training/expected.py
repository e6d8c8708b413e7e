"""Expected order-days and spend of a next-purchase version, within any horizon, and how good they were when judged.

Members and level are chosen, judged and refitted as a horizon's recipe is: chosen on a window behind the one that
judges, judged on the newest closed window of the longest horizon beside BG/NBD and Pareto/NBD times gamma-gamma, then
fitted once more with everything that is known. Where one of those two alone was nearer on the window that judges, that
one is shipped, and it is said: half of the customers decide that, and the other half judge it. Twenty thousand
customers teach as well as a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset import Source
from training.evaluating.figures import amount_figures
from training.expectations.choosing import HARM, OWN, Recipe, error, expect, made_of, weeks_ahead
from training.expectations.members import Of, actual, repeat_expectations, rfm_columns
from training.expectations.shop import EPOCH, Shop
from training.fitting import fold_of
from training.gamma_gamma import GammaGamma
from training.members import memoryless_model_of
from training.next_purchase import JudgedAmounts, Trained
from training.order_days import OrderDays
from training.some_customers import some_customers
from training.split import whole_weeks

Floats = NDArray[np.float64]

ENOUGH_CUSTOMERS = 20_000
WINDOWS = 3  # of the longest horizon, one behind the other: to be judged on, to choose on, and what taught then
DIGITS = 6
WITHOUT = "expected orders and spend are not said: no closed window of the longest horizon could teach and judge them"


@dataclass(frozen=True, slots=True)
class _Judged:
    recipe: Recipe
    figures: dict[str, Any]
    amounts: JudgedAmounts


def cutoffs_of_expected(source: Source, *, horizons_days: Sequence[int]) -> set[datetime]:
    """The days whose snapshots `with_expected` looks at: what teaches, what judges, and what chooses before that."""
    days = whole_weeks(max(horizons_days))
    return {source.known_until - timedelta(days=windows * days) for windows in range(WINDOWS + 1)}


def with_expected(trained: Trained, source: Source, orders: OrderDays, *, seed: int = 0) -> Trained:
    """The same version with expected order-days and spend; as it was where there is too little to judge them on.

    Args:
        trained: with its curve.
        source: that taught it.
        orders: known until the source is, in days that end when it does.
        seed: of LightGBM.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if "coming" not in trained.description:
        return trained
    horizon, some = trained.judged[-1].horizon_days, some_customers(source, most=ENOUGH_CUSTOMERS)
    day = _first_day_after(source)
    whose = np.isin(orders.customer_keys, some.snapshot(some.known_until).customer_keys)
    known = OrderDays(orders.customer_keys[whose], orders.days[whose], orders.amounts[whose]).before(day)
    if not len(known.days):
        return trained
    repeat = [memoryless_model_of(fit) for fit in trained.description["coming"]["repeat_buying"]]
    shop = Shop(known, source.known_until, day, some).fitted(repeat)
    with threadpool_limits(1):  # on so few customers a second thread only waits: a quarter of the CPU
        judged = {of: found for of in Of if (found := _judged(shop, horizon_days=horizon, of=of, seed=seed))}
        described, texts = _described(shop, judged, horizon_days=horizon, seed=seed, n_boosters=len(trained.boosters))
    if "orders" not in described:
        return trained
    return replace(
        trained,
        description=trained.description | {"expected": described},
        other_boosters=(*trained.other_boosters, *texts),
        amounts={of.value: found.amounts for of, found in judged.items() if of.value in described},
    )


def _described(
    shop: Shop, judged: Mapping[Of, _Judged], *, horizon_days: int, seed: int, n_boosters: int
) -> tuple[dict[str, Any], list[str]]:
    texts: list[str] = []
    gamma: GammaGamma | None = shop.gamma_gamma(shop.day)
    described: dict[str, Any] = {
        "horizon_days": horizon_days,
        "columns": [list(column) for column in rfm_columns(shop.source.inputs)],
        "gamma_gamma": None if gamma is None else asdict(gamma),
        "judged": {},
    }
    for of, verdict in judged.items():
        found = made_of(shop, verdict.recipe, horizon_days=horizon_days, of=of, seed=seed)
        if found is None:
            continue
        made, recipe = found
        described[of.value] = made.as_dict(booster=n_boosters + len(texts) if made.needs_trees else None)
        described["judged"][of.value] = verdict.figures | _another_level(verdict.recipe, recipe)
        texts += [made.learned.trees] if made.needs_trees and made.learned.trees else []
        if made.is_seasonal and "within" not in described:
            described["within"] = [list(by) for by in weeks_ahead(shop, horizon_days=horizon_days)]
    return described, texts


def _another_level(judged: Recipe, served: Recipe) -> dict[str, str]:
    """What is said where what is served has another level than what was judged."""
    if judged == served:
        return {}
    return {
        "shipped": str(served),
        "because": f"judged with {judged}; a season that no window has tried is nearer to it",
    }


def _judged(shop: Shop, *, horizon_days: int, of: Of, seed: int) -> _Judged | None:
    """What the newest closed window says of a fit that knew nothing of it, and which recipe is refitted."""
    then = shop.standing(shop.day - whole_weeks(horizon_days))
    if then is None:
        return None
    expected = expect(then, horizon_days=horizon_days, of=of, seed=seed)
    if expected is None or expected.window_days != horizon_days:
        return None  # nothing of that length had closed that could have taught it
    happened = actual(shop, then.day, horizon_days=horizon_days, of=of)
    told = {"ours": expected.values} | repeat_expectations(then, then.day, horizon_days=horizon_days, of=of)
    keys = shop.buyers(then.day).keys
    deciding = fold_of(keys, n_folds=2) == 0
    recipe, because = _shipped(expected.recipe, _of(deciding, told), happened[deciding])
    keys, happened, told = keys[~deciding], happened[~deciding], _of(~deciding, told)
    models = {name: _rounded(amount_figures(happened, values)) for name, values in told.items()}
    figures = {"as_of": then.cutoff.isoformat(), "n": len(happened), "shipped": str(recipe), "because": because}
    said = told["ours"] if recipe == expected.recipe else told[recipe.members[0]]
    amounts = JudgedAmounts(horizon_days, then.cutoff, keys, said, happened)
    return _Judged(recipe, figures | {"models": models}, amounts)


def _of(customers: NDArray[np.bool_], told: Mapping[str, Floats]) -> dict[str, Floats]:
    """What each says of these customers alone."""
    return {name: values[customers] for name, values in told.items()}


def _shipped(recipe: Recipe, told: Mapping[str, Floats], happened: Floats) -> tuple[Recipe, str]:
    """The recipe, unless repeat buying alone at its own level was nearer by more than what counts as harm."""
    errors = {name: error(values, happened) for name, values in told.items()}
    best = min(errors, key=lambda name: errors[name])
    if best == "ours" or errors["ours"] <= errors[best] * (1.0 + HARM):
        chosen = recipe.chosen_on_days
        return recipe, f"chosen on {chosen} days behind the window that judges" if chosen else "nothing could choose"
    why = f"{best} alone was nearer by {1 - errors[best] / errors['ours']:.1%} on the window that judges, of the others"
    return replace(recipe, members=(best,), level=OWN), why


def _first_day_after(source: Source) -> int:
    """The day of `orders` that begins where the source's knowledge ends."""
    return (source.known_until - EPOCH).days


def _rounded(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in figures.items() if value is not None}


def lines_of(described: Mapping[str, Any] | None) -> list[str]:
    """What the judging window says of it, for people; that there is none where it is None."""
    if described is None:
        return [WITHOUT]
    return [_line(of, judged, described["horizon_days"]) for of, judged in described["judged"].items()]


def _line(of: str, judged: Mapping[str, Any], horizon_days: int) -> str:
    ours, *_ = judged["models"].values()
    others = ", ".join(
        f"{name} {figures['mae']:.4g} / {figures['rmse']:.4g}"
        for name, figures in judged["models"].items()
        if name != "ours"
    )
    return (
        f"expected {of} within {horizon_days} days ({judged['shipped']}; {judged['because']}): MAE / RMSE "
        f"{ours['mae']:.4g} / {ours['rmse']:.4g} beside {others}; {ours['sum_predicted']:,.0f} said where "
        f"{ours['sum_actual']:,.0f} came"
    )
