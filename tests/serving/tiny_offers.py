"""Offers and prepared decisions whose values are set by hand."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Connection
from typing import Any, Literal

from experiments.assignment import Assignment
from experiments.records import PERSONALISED
from features.brand import Placement, Policy
from features.catalogue import NOTHING
from features.rendering import RenderedMessage
from serving.contact.rules import ContactRules
from serving.contact.taking import Taken
from serving.decision import Decision
from serving.offers import Offer, Prepared, Scores, Situation
from serving.shelf import Place
from serving.values import EstimatedRate, Valuation
from tests.serving.tiny_world import NOON, a_brand, an_action


def worth(action_id: str, value: float) -> Valuation:
    return Valuation(action_id, value, EstimatedRate(0.1, n_decided=0.0, n_converted=0, prior=0.1))


def an_offer(
    action_id: str,
    *,
    value: float = 1.0,
    channel: str = "web",
    is_alone: bool = True,
    cost: float = 0.0,
    placement: str = "reply",
    **changes: object,
) -> Offer:
    """An action on a channel of the tiny brand; `changes` are the action's."""
    brand = a_brand()
    place = Place(placement, brand.placements[placement], channel, brand.channels[channel], (), (), frozenset(), 0.0)
    return Offer(
        key=action_id if is_alone else f"{action_id}@{channel}",
        action=an_action(action_id, **changes),
        channel=channel,
        place=place,
        valuation=worth(action_id, value),
        said=RenderedMessage("en", "", f"This is the {action_id}.", None, None, (), None),
        cost=cost,
    )


def prepared(
    decision_id: str = "d-1",
    *offers: Offer,
    initiated_by: Literal["customer", "brand"] = "customer",
    customer_key: int = 1,
    at: datetime = NOON,
    arm: str = PERSONALISED,
    channels: tuple[str, ...] = ("web",),
    draws: tuple[float, ...] = (0.5,),
    policy: Policy | None = None,
    scores: Scores | None = None,
    answers: tuple[Offer, ...] = (),
    nothing: float = 0.0,
    placement: Placement | None = None,
    **changes: Any,
) -> Prepared:
    """A decision of one customer before it is settled; `nothing` competes where the brand speaks first."""
    return Prepared(
        situation=Situation(decision_id, customer_key, at, "reply", initiated_by, channels, "en"),
        placement=placement
        or Placement(initiated_by=initiated_by, channels=channels, baseline="bestsellers", fallback="help"),
        assignment=Assignment(arm, 0.9 if arm == PERSONALISED else 0.1),
        scores=scores or Scores(stage="awareness"),
        offers=offers,
        nothing=worth(NOTHING, nothing) if initiated_by == "brand" else None,
        suppressed=(),
        answers=answers,
        policy=policy or Policy(name="greedy"),
        draws=draws,
        versions={"brand": "abc"},
        locale="en",
        **changes,
    )


def reserve(
    connection: Connection, decision: Decision, rules: ContactRules, at: datetime, *, is_deferred: bool = False
) -> dict[int, str]:
    """What one decision takes, written as the ledger would; its coupon codes by slot."""
    taken = Taken()
    codes = taken.add(connection, decision, rules, at, is_deferred=is_deferred)
    taken.write(connection)
    return codes
