"""What our own decisions held each action to be worth by its rate, and what sending it cost: the policy to beat."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.by_rate import worth_by_rate
from experiments.earnings import CataloguesThen
from features.brand import Brand
from features.catalogue import NOTHING, Action, load_catalogue
from features.workspace import Workspace
from training.response.rows import ResponseRows

Floats = NDArray[np.float64]

_AT_ONCE = 500
_QUERY = """
SELECT decision_id, channel, purchase_propensity, coalesce(json_extract(record, '$.versions.catalogue'), ''),
       json_extract(record, '$.candidates')
FROM decisions WHERE decision_id IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class InUse:
    """Two numbers for every decision and action, in the brand's currency.

    Attributes:
        by_rate: shape `(n, n_actions)`, what it was worth by its rate, price taken off; NaN where no candidate.
        price: shape `(n, n_actions)`, of one message on the cheapest channel; 0 of `nothing`.
    """

    by_rate: Floats
    price: Floats


def in_use(workspace: Workspace, brand: Brand, rows: ResponseRows) -> InUse:
    """What the decisions of some rows of the ledger held their candidates to be worth by rates.

    A decision by a response model notes the rates beside it, so that what they would have said is known of it too.

    Args:
        workspace: whose ledger.
        brand: whose channels.
        rows: of `ledger_rows`.
    """
    catalogues = CataloguesThen(workspace, in_use=load_catalogue(workspace, brand))
    places = {action.action_id: place for place, action in enumerate(rows.actions)}
    found = InUse(np.full((len(rows), len(places)), np.nan), np.zeros((len(rows), len(places))))
    ids = [] if rows.decision_id is None else rows.decision_id.tolist()
    row_of = {decision_id: row for row, decision_id in enumerate(ids)}
    with closing(sqlite3.connect(workspace.database)) as connection:
        for begin in range(0, len(ids), _AT_ONCE):
            asked = json.dumps(ids[begin : begin + _AT_ONCE])
            for decision_id, channel, propensity, version, candidates in connection.execute(_QUERY, (asked,)):
                row, told = row_of[decision_id], json.loads(candidates)
                for action_id, value, price in _worths(told, channel, propensity, version, catalogues, brand):
                    if (place := places.get(action_id)) is not None and not found.by_rate[row, place] >= value:
                        found.by_rate[row, place], found.price[row, place] = value, price
    return found


def _worths(
    candidates: list[dict[str, Any]],
    channel: str,
    propensity: float | None,
    version: str,
    catalogues: CataloguesThen,
    brand: Brand,
) -> Iterator[tuple[str, float, float]]:
    """Action, worth by rate and price of each candidate; one a channel."""
    actions = {one["action_id"]: catalogues.action(one["action_id"], version=version) for one in candidates}
    for one in candidates:
        action_id, action = one["action_id"], actions[one["action_id"]]
        on = brand.channels.get(one["key"].partition("@")[2] or channel)
        price = 0.0 if action_id == NOTHING or on is None else on.price
        yield action_id, _by_rate(one, action, actions, propensity, price), price


def _by_rate(
    one: Mapping[str, Any],
    action: Action | None,
    actions: Mapping[str, Action | None],
    propensity: float | None,
    price: float,
) -> float:
    if "reward" not in one:
        return float(one["value"]) - float(one.get("base", 0.0))
    if action is None:
        values = [of.value for of in actions.values() if of is not None]
        return float(one["rate"]) * (sum(values) / len(values) if values else 0.0)
    return worth_by_rate(action, rate=one["rate"], purchase_propensity=propensity, channel_price=price)
