"""What the next purchase will be of: trees over candidates, or the most frequent where that is as good.

"The most frequent of this customer, then of everybody" is what one would pick instead, and it is hard to beat. Trees
learn from one closed window which candidates were in the next order. They are shipped where, taught a window earlier,
they recalled more on the newest closed window than frequency did, by more than one standard error; else frequency is,
and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.boosting import reproducible
from training.products.baskets import Baskets
from training.products.candidates import INPUTS, Candidates, candidates_of, items_of

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]

N_TOLD = 10
TREES, FREQUENCY = "trees", "frequency"
ENOUGH_CUSTOMERS = 20_000  # that teach or judge
FEWEST_CUSTOMERS = 100  # with a next order, that teach or judge
FEWEST_DAYS = 7
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Window:
    """Customers who had ordered before a day and ordered again within the window: what they could buy, and bought.

    Attributes:
        customer_keys: rising, shape `(n,)`.
        hit: which candidates were in their next order, shape `(n_candidates,)`.
        n_bought: items in that order, shape `(n,)`.
        n_items: how many there are.
    """

    customer_keys: Keys
    candidates: Candidates
    hit: NDArray[np.bool_]
    n_bought: Floats
    n_items: int

    @property
    def n_told(self) -> int:
        """How many items are told of each when it is judged: ten, or a third of them where there are few."""
        return min(N_TOLD, max(1, self.n_items // 3))

    def recall(self, score: Floats) -> Floats:
        """The share of each customer's next order that is among the highest `n_told`, shape `(n,)`."""
        told = top(self.candidates.customer, score, n_told=self.n_told)
        hits = np.bincount(self.candidates.customer[told & self.hit], minlength=len(self.n_bought))
        return np.asarray(hits / self.n_bought)


@dataclass(frozen=True, slots=True)
class Ranker:
    """What ranks.

    Attributes:
        booster: LightGBM's text; None where frequency ranks.
        judged: recall on the newest closed window of trees that did not know it, and of frequency; empty if none.
        because: of the choice, for people.
    """

    booster: str | None
    judged: dict[str, Any]
    because: str

    @property
    def shipped(self) -> str:
        """What it is."""
        return TREES if self.booster is not None else FREQUENCY

    def scores(self, candidates: Candidates) -> Floats:
        """What to rank by, shape `(n_candidates,)`."""
        if self.booster is None:
            return candidates.frequency
        import lightgbm

        return _said(lightgbm.Booster(model_str=self.booster), candidates)


def top(customer: Keys, score: Floats, *, n_told: int) -> NDArray[np.bool_]:
    """Which rows are among their customer's highest; ties go to the first item."""
    order = np.lexsort((np.arange(len(score)), -score, customer))
    ranked = customer[order]
    starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0)) if len(ranked) else np.zeros(0, dtype=np.int64)
    rank = np.arange(len(ranked)) - np.repeat(starts, np.diff(np.append(starts, len(ranked))))
    chosen = np.zeros(len(score), dtype=bool)
    chosen[order[rank < n_told]] = True
    return chosen


def window_of(baskets: Baskets, day: int, *, days: int) -> Window:
    """What came next of the customers known as of a day, within so many days."""
    known, ahead = baskets.before(day), baskets.next_after(day, within_days=days)
    asked = np.intersect1d(np.unique(known.customer_keys), np.unique(ahead.customer_keys))
    asked = asked[:: max(1, -(-len(asked) // ENOUGH_CUSTOMERS))]
    ahead = ahead.where(np.isin(ahead.customer_keys, asked))
    candidates = candidates_of(known, day, asked, items_of(known, day))
    n_items, whose = len(baskets.names), np.searchsorted(asked, ahead.customer_keys)
    hit = np.isin(candidates.customer * n_items + candidates.item, whose * n_items + ahead.items)
    return Window(asked, candidates, hit, np.bincount(whose, minlength=len(asked)).astype(np.float64), n_items)


def fit_ranker(baskets: Baskets, day: int, *, horizon_days: int, seed: int = 0) -> Ranker:
    """Chosen and fitted with nothing known at or after a day.

    Args:
        baskets: of which only what was before the day is looked at.
        day: as of which.
        horizon_days: within how many days the next orders that teach came; fewer where the history is short.
        seed: of LightGBM.
    """
    known = baskets.before(day)
    n_days = day - int(known.days[0]) if len(known.days) else 0
    days = min(horizon_days, n_days // 3)
    if days < FEWEST_DAYS:
        what = f"{n_days} days of orders" if n_days // 3 < FEWEST_DAYS else f"a horizon of {horizon_days} days"
        return Ranker(None, {}, f"the most frequent: {what}: too short to teach")
    early, late = (window_of(known, day - times * days, days=days) for times in (2, 1))
    fewest = min(len(early.customer_keys), len(late.customer_keys))
    if fewest < FEWEST_CUSTOMERS or not early.hit.any() or not late.hit.any():
        return Ranker(None, {}, f"the most frequent: {fewest} customers ordered again, {FEWEST_CUSTOMERS} are needed")
    trees, often = late.recall(_said(_taught(early, seed), late.candidates)), late.recall(late.candidates.frequency)
    judged = {
        "n": len(often),
        "days": days,
        "told": late.n_told,
        TREES: round(float(trees.mean()), 6),
        FREQUENCY: round(float(often.mean()), 6),
    }
    gain = trees - often
    is_better = gain.mean() > gain.std() / np.sqrt(len(gain))
    booster = _taught(late, seed).model_to_string() if is_better else None
    shipped = "trees over what each bought and what is bought now" if is_better else "the most frequent"
    because = (
        f"{shipped}: recall@{late.n_told} {trees.mean():.4f} by trees, {often.mean():.4f} by frequency, of {len(gain)} "
        f"customers who ordered within the {days} days that were held back"
    )
    return Ranker(booster, judged, because)


def ranked(candidates: Candidates, score: Floats, names: tuple[str, ...], *, n: int) -> list[list[str]]:
    """The names of the ten highest of each of n customers, the highest first."""
    told = np.flatnonzero(top(candidates.customer, score, n_told=N_TOLD))
    told = told[np.lexsort((told, -score[told], candidates.customer[told]))]
    lists: list[list[str]] = [[] for _ in range(n)]
    for customer, item in zip(candidates.customer[told].tolist(), candidates.item[told].tolist(), strict=True):
        lists[customer].append(names[item])
    return lists


def _taught(window: Window, seed: int) -> Any:
    import lightgbm

    X = window.candidates.X
    data = lightgbm.Dataset(X, window.hit.astype(np.uint8), feature_name=list(INPUTS), params={"verbose": -1})
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.07,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.7,
        **reproducible(seed=seed, threads=1),
    }
    return lightgbm.train(parameters, data, num_boost_round=ROUNDS)


def _said(booster: Any, candidates: Candidates) -> Floats:
    return np.asarray(booster.predict(candidates.X, raw_score=True, num_threads=2), dtype=np.float64)
