"""What a response model knows of an action: its features, so that an action is more than its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.catalogue import Action

NOTHING_ID = "nothing"
NO_INCENTIVE = "none"


@dataclass(frozen=True, slots=True)
class ActionFeatures:
    """One action, as a response model sees it; `nothing` is one too.

    Attributes:
        action_id: of the catalogue, or of a past campaign.
        kind: message, offer, question, or nothing.
        goal_stage: the funnel stage that it works towards; empty where that is not known.
        incentive: none, percentage, amount, free_item, sweepstake or points.
        incentive_cost: what one redeemed incentive costs, in the brand's currency.
        value: the margin of the action's goal, in the brand's currency.
        channel: on which it is sent; empty where it may be any, or is not known.
        tags: the catalogue's.
    """

    action_id: str
    kind: str = "message"
    goal_stage: str = ""
    incentive: str = NO_INCENTIVE
    incentive_cost: float = 0.0
    value: float = 0.0
    channel: str = ""
    tags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return asdict(self) | {"tags": list(self.tags)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ActionFeatures:
        """The inverse of `as_dict`."""
        return cls(**(dict(value) | {"tags": tuple(value.get("tags", ()))}))


NOTHING = ActionFeatures(NOTHING_ID, kind=NOTHING_ID)


def features_of(action: Action | None, *, channel: str = "") -> ActionFeatures:
    """The features of a catalogue's action; None stands for `nothing`.

    Args:
        action: of the catalogue.
        channel: on which it would be sent.
    """
    if action is None:
        return NOTHING
    incentive = action.incentive
    return ActionFeatures(
        action.id,
        action.kind,
        action.stage,
        NO_INCENTIVE if incentive is None else incentive.kind,
        0.0 if incentive is None else incentive.cost,
        action.value,
        channel,
        tuple(sorted(action.tags)),
    )
