"""What decisions of the past earned, by the catalogue that each was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.earnings import CataloguesThen, Worths
from features.catalogue import Action, Catalogue
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
        self._channels = stock.brand.channels
        self._worths = Worths.of(stock.brand, stock.catalogue)
        self._catalogues = CataloguesThen(workspace, in_use=in_use)

    def action_then(self, action_id: str, record: Mapping[str, Any]) -> Action | None:
        """The action as the decision's own catalogue had it; None for `nothing`."""
        return self._catalogues.action(action_id, version=str(record["versions"].get("catalogue", "")))

    def margin(self, past: Past, action: Action | None, channel: str) -> float:
        """What followed a decision within its window, less what the action gave away and cost to send."""
        price = self._channels[channel].price if channel in self._channels else 0.0
        return self._worths.earned(past.conversions, action) - price
