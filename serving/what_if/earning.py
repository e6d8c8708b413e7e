"""What decisions of the past earned, by the catalogue that each was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.catalogue import Action, Catalogue
from features.versions import VersionNotKeptError, kept_catalogue
from features.workspace import Workspace
from serving.stock import Stock
from serving.what_if.past import Past


class Earnings:
    """Margins of one ledger.

    Args:
        workspace: keeps the catalogues that were in use.
        stock: whose brand says what money and goals are worth.
        in_use: the catalogue that stands for one that is not kept any more.
    """

    def __init__(self, workspace: Workspace, stock: Stock, *, in_use: Catalogue) -> None:
        self._workspace, self._stock, self._in_use = workspace, stock, in_use
        self._catalogues: dict[str, Mapping[str, Action]] = {}
        values = [action.value for action in stock.catalogue.actions]
        self._mean_value = sum(values) / len(values)

    def action_then(self, action_id: str, record: Mapping[str, Any]) -> Action | None:
        """The action as the decision's own catalogue had it; None for `nothing`."""
        version = str(record["versions"].get("catalogue", ""))
        if version not in self._catalogues:
            self._catalogues[version] = {action.id: action for action in self._kept(version).actions}
        return self._catalogues[version].get(action_id)

    def margin(self, past: Past, action: Action | None, channel: str) -> float:
        """What followed a decision within its window, less what the action gave away and cost to send.

        A conversion with a value is paid by the margin of that value, whatever its goal; one without pays what the
        action's own goal is worth, once, and only where it is that goal.
        """
        brand = self._stock.brand
        goal, goal_value = (action.goal, action.value) if action else (next(iter(brand.goals)), self._mean_value)
        paid = sum(brand.rewards.margin_rate * one.value for one in past.conversions if one.value is not None)
        reached = any(one.goal == goal for one in past.conversions)
        has_value = any(one.goal == goal and one.value is not None for one in past.conversions)
        earned = paid + (goal_value if reached and not has_value else 0.0)
        given = action.incentive.cost if action is not None and action.incentive is not None and reached else 0.0
        price = brand.channels[channel].price if channel in brand.channels else 0.0
        return earned - given - price

    def _kept(self, version: str) -> Catalogue:
        try:
            return kept_catalogue(self._workspace, version)
        except VersionNotKeptError:
            return self._in_use
