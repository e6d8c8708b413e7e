"""How well it is said what the next purchase will be of, beside the most frequent of each customer, then of everybody.

Judged are customers who ordered before the cutoff and again within the horizon: of what was in their next order, the
share that ten items told beforehand held.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from training.evaluating.figures import finite
from training.products.baskets import followed_by, read_baskets
from training.products.ranking import fit_ranker, window_of

if TYPE_CHECKING:
    from features.workspace import Workspace

OFTEN = "most frequent of the customer, then of everybody"


def next_products_judged(
    workspace: Workspace, *, cutoff: datetime, day: int, horizon_days: int, seed: int
) -> dict[str, Any]:
    """Figures beside the table's; empty where orders do not say what was bought.

    Args:
        workspace: whose orders.
        cutoff: nothing later is known to what is judged.
        day: the same, as a day of the brand.
        horizon_days: within which the next order came.
        seed: of LightGBM.
    """
    known = read_baskets(workspace, known_until=cutoff)
    if known is None:
        return {}
    ranker = fit_ranker(known, day, horizon_days=horizon_days, seed=seed)
    later = read_baskets(workspace, kind=known.kind)
    window = window_of(followed_by(known, later or known, day=day), day, days=horizon_days)
    if not len(window.customer_keys):
        return {}
    said = {f"ours ({ranker.shipped})": ranker.scores(window.candidates), OFTEN: window.candidates.frequency}
    tens = {name: window.recall(score) for name, score in said.items()}
    return {
        "next_products": {
            "kind": known.kind,
            "n_kinds": len(known.names),
            "n": len(window.customer_keys),
            "told": window.n_told,
            "shipped": ranker.shipped,
            "because": ranker.because,
            "models": [
                {"name": name, "recall": finite(float(ten.mean())), "hit_rate": finite(float((ten > 0).mean()))}
                for name, ten in tens.items()
            ],
        }
    }
