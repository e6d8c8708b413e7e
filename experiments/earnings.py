"""What a decision earned: the margin of what followed it, less the incentive that was given away.

The price of the channel is not in it: whoever asks takes that off, since it depends on where a thing is said, not on
what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.brand import Brand
from features.catalogue import Action, Catalogue
from features.versions import VersionNotKeptError, kept_catalogue
from features.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Conversion:
    """One goal that was reached; the value is None where the goal has none."""

    goal: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Worths:
    """What money and goals are worth to a brand.

    Attributes:
        brand: whose margin rate and goals.
        usual_value: of a goal where nothing was said: the mean of the catalogue's actions.
        of_goal: what each goal is worth where no value came with it: the mean of the catalogue's actions for it.
    """

    brand: Brand
    usual_value: float
    of_goal: Mapping[str, float]

    @classmethod
    def of(cls, brand: Brand, catalogue: Catalogue) -> Worths:
        """As a brand and its catalogue say."""
        values = [action.value for action in catalogue.actions]
        of_goal: dict[str, list[float]] = {}
        for action in catalogue.actions:
            of_goal.setdefault(action.goal, []).append(action.value)
        means = {goal: sum(those) / len(those) for goal, those in of_goal.items()}
        return cls(brand, sum(values) / len(values), means)

    def earned(self, conversions: Iterable[Conversion], action: Action | None) -> float:
        """What followed a decision, incentives paid, before the price of its channel.

        A conversion with a value is paid by the margin of that value, whatever its goal; one without pays what the
        action's own goal is worth, once, and only where it is that goal.

        Args:
            conversions: within the decision's window.
            action: as it was then; None for `nothing`, which works towards the brand's first goal.
        """
        followed = list(conversions)
        goal, goal_value = (action.goal, action.value) if action else (next(iter(self.brand.goals)), self.usual_value)
        paid = sum(self.brand.rewards.margin_rate * one.value for one in followed if one.value is not None)
        reached = any(one.goal == goal for one in followed)
        has_value = any(one.goal == goal and one.value is not None for one in followed)
        given = action.incentive.cost if action is not None and action.incentive is not None and reached else 0.0
        return paid + (goal_value if reached and not has_value else 0.0) - given

    def reward(self, conversions: Iterable[Conversion], action: Action | None) -> float:
        """What a decision teaches: what followed it, its incentive paid, before the price of its channel.

        The same outcomes are worth the same whatever was done, or actions could not be compared: a conversion with a
        value is paid by the margin of that value; a goal that was reached without any is worth once what the
        catalogue's actions say of it on average, and nothing where none works towards it.

        Args:
            conversions: within the decision's window.
            action: as it was then, whose incentive is paid where its goal was reached; None for `nothing`.
        """
        followed = list(conversions)
        paid = sum(self.brand.rewards.margin_rate * one.value for one in followed if one.value is not None)
        valued = {one.goal for one in followed if one.value is not None}
        reached = {one.goal for one in followed}
        paid += sum(self.of_goal.get(goal, 0.0) for goal in sorted(reached - valued))
        if action is not None and action.incentive is not None and action.goal in reached:
            paid -= action.incentive.cost
        return paid


class CataloguesThen:
    """Actions as the catalogues of past decisions had them.

    Args:
        workspace: keeps the catalogues that were in use.
        in_use: stands for one that is not kept any more.
    """

    def __init__(self, workspace: Workspace, *, in_use: Catalogue) -> None:
        self._workspace, self._in_use = workspace, in_use
        self._of_version: dict[str, Mapping[str, Action]] = {}

    def action(self, action_id: str, *, version: str) -> Action | None:
        """The action as that version had it; None for `nothing`."""
        if version not in self._of_version:
            self._of_version[version] = {action.id: action for action in self._kept(version).actions}
        return self._of_version[version].get(action_id)

    def _kept(self, version: str) -> Catalogue:
        try:
            return kept_catalogue(self._workspace, version)
        except VersionNotKeptError:
            return self._in_use
