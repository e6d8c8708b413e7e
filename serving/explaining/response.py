"""What of a customer makes the response model expect what it does of the action that was drawn, in words.

The numbers are exact, in the brand's currency: base and contributions sum to the expected reward. Words are the
features' own meanings, from the feature schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from features.brand import Brand
from features.catalogue import NOTHING, Action
from serving.explaining.amounts import told_amount
from serving.explaining.meanings import Meanings
from serving.explaining.propensity import MOST_TOLD
from serving.explaining.worth import money_of
from serving.models import ServedModels
from serving.scoring import ScoredCustomer
from training.artifact import features_of

ACTION = "action"
_EXACT_WITHIN = 1e-6  # of the reward: sums in another order differ in their last digits


def response_of(
    record: Mapping[str, Any],
    scored: ScoredCustomer,
    *,
    models: ServedModels,
    meanings: Meanings,
    brand: Brand,
    actions: Mapping[str, Action],
) -> dict[str, Any] | None:
    """The contributions to what is expected of the action that the policy drew first, the largest first.

    Args:
        record: of the decision.
        scored: the customer as they were scored.
        models: that the decision was made with.
        meanings: of the inputs.
        brand: whose money.
        actions: of the catalogue that decided, by id.

    Returns:
        JSON types; None where no response model spoke of it, or where what it saw is not known any more.
    """
    slot = (record["would_be"] or record["slots"])[0]
    candidate: Mapping[str, Any] = next((one for one in record["candidates"] if one["key"] == slot["key"]), {})
    action = actions.get(slot["action_id"])
    if models.response is None or "reward" not in candidate or (action is None and slot["action_id"] != NOTHING):
        return None
    reward: float = candidate["reward"]
    told = models.response.contributions(scored.inputs[None, :], features_of(action))
    if not math.isclose(told.score, reward, rel_tol=_EXACT_WITHIN, abs_tol=_EXACT_WITHIN):
        return None  # the caller told something for that decision only, which is not kept
    known = meanings.known(scored.inputs.tolist())
    strongest = sorted((-abs(part), name, part) for name, part in told.parts.items() if part != 0.0)
    reasons = [_reason(name, part, known.get(name), meanings, brand) for _, name, part in strongest]
    days = brand.rewards.attribution_days
    first = f"Of this customer the response model ({models.response.learner}) expects {money_of(brand, reward)} within "
    first += f"{days} day{'' if days == 1 else 's'} of '{slot['action_id']}', incentives paid."
    return {
        "action_id": slot["action_id"],
        "learner": models.response.learner,
        "reward": told_amount(reward),
        "base": told.base,
        "in_words": [first, *(reason["in_words"] for reason in reasons[:MOST_TOLD])],
        "contributions": reasons,
    }


def _reason(name: str, contribution: float, value: float | None, meanings: Meanings, brand: Brand) -> dict[str, Any]:
    what = "What the action is" if name == ACTION else meanings.of(name, value)
    direction = "more" if contribution > 0 else "less"
    words = f"{what}: {money_of(brand, abs(contribution))} {direction}."
    return {"name": name, "value": value, "contribution": contribution, "in_words": words}
