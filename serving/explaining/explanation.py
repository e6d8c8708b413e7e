"""A decision explained: what each candidate is worth and why, what was kept away and until when, who is likely to buy.

It reads the decision's record, so that the answer of today and the page of last year say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.brand import Brand
from features.catalogue import NOTHING, Action, Catalogue
from features.schema import FeatureSchema
from serving.explaining.amounts import adding_up, told_amount
from serving.explaining.conditions import in_words
from serving.explaining.meanings import Meanings
from serving.explaining.naming import names_of
from serving.explaining.propensity import propensity_explained
from serving.explaining.response import response_of
from serving.explaining.suppressed import OF_A_CONDITION, counter_in_words, why_suppressed
from serving.explaining.worth import worth_of
from serving.models import ServedModels
from serving.scoring import ScoredCustomer, middle_horizon

REMEMBERED = 8_192
"""Values taken apart: of 50 actions in some dozens of segments and stages."""


class Explainer:
    """Says what decisions rest on that one brand and catalogue made.

    A value is taken apart once for all customers of whom the same holds: of most actions that is everybody of a segment
    and stage, since only incentives cost by the customer.

    Args:
        brand: that decided.
        catalogue: that decided.
        schema: of the features, whose words the inputs are told in.
    """

    def __init__(self, brand: Brand, catalogue: Catalogue, schema: FeatureSchema) -> None:
        self._brand = brand
        self._actions = {action.id: action for action in catalogue.actions}
        self._meanings = Meanings(schema, brand)
        self._names = names_of(brand, schema)
        self._conditions: dict[str, str] = {}  # in words, by action
        self._remembered: dict[tuple[object, ...], Sequence[Mapping[str, Any]]] = {}

    def forget(self) -> None:
        """Lets go of what was taken apart."""
        self._remembered.clear()

    def values(self, record: Mapping[str, Any], *, are_told: bool = False) -> list[dict[str, Any]]:
        """What each candidate is worth, the most valuable first, in parts that sum to it, as JSON types.

        Args:
            record: as a decision's `as_dict` has it.
            are_told: whether amounts are as people are told them; else exact.
        """
        distribution, candidates = record["distribution"], record["candidates"]
        silence = next((one.get("reward") for one in candidates if one["action_id"] == NOTHING), None)
        # The record's candidates hold also what the rules that look at counters kept away.
        could_be = [one for one in candidates if one["key"] in distribution]
        could_be.sort(key=lambda one: (-one["value"], one["key"]))
        return [
            {
                "key": one["key"],
                "action_id": one["action_id"],
                "value": told_amount(one["value"]) if are_told else one["value"],
                "probability": distribution[one["key"]],
                "parts": self._parts(one, record, silence, are_told),
            }
            for one in could_be
        ]

    def kept_away(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Why each suppressed action is, and until when, as JSON types.

        Args:
            record: as a decision's `as_dict` has it.
        """
        return [
            {
                "action_id": one["action_id"],
                "channel": one.get("channel") or None,
                "rule": one["rule"],
                "in_words": self._why_suppressed(one),
                "condition": self._condition(one),
                "counter": one.get("counter"),
                "counter_in_words": counter_in_words(one.get("counter")),
                "eligible_at": one.get("eligible_at"),
            }
            for one in record["suppressed"]
        ]

    def _why_suppressed(self, one: Mapping[str, Any]) -> str:
        words = "its condition holds"
        if (condition := self._condition(one)) is not None:
            if (found := self._conditions.get(one["action_id"])) is None:
                found = self._conditions[one["action_id"]] = in_words(condition, self._names)
            words = found
        return why_suppressed(one, time_zone=self._brand.time_zone, condition=words, names=self._names)

    def _condition(self, one: Mapping[str, Any]) -> str | None:
        """The expression that keeps an action away, as the catalogue has it; None where another rule does."""
        action = self._actions.get(one["action_id"])
        return action.when if action is not None and one["rule"] in OF_A_CONDITION else None

    def propensity(self, scored: ScoredCustomer, models: ServedModels) -> dict[str, Any] | None:
        """Why a customer is as likely to buy as the model says; None where no model said so."""
        if models.next_purchase is None or scored.scores.purchase_propensity is None:
            return None
        horizon = middle_horizon(self._brand.horizons_days)
        return propensity_explained(
            models.next_purchase.contributions(scored.inputs[None, :], horizon_days=horizon),
            scored.inputs.tolist(),
            meanings=self._meanings,
            probability=scored.scores.purchase_propensity,
            horizon_days=horizon,
        )

    def response(
        self, record: Mapping[str, Any], scored: ScoredCustomer, models: ServedModels
    ) -> dict[str, Any] | None:
        """Why the response model expects what it does of what was drawn first; None where it does not speak of it."""
        return response_of(
            record, scored, models=models, meanings=self._meanings, brand=self._brand, actions=self._actions
        )

    def answer(self, record: Mapping[str, Any], scored: ScoredCustomer, models: ServedModels) -> dict[str, Any]:
        """What a decision that was just made rests on, beside its record, with amounts as people are told them."""
        return {
            "values": self.values(record, are_told=True),
            "kept_away": self.kept_away(record),
            "propensity": self.propensity(scored, models),
            "response": self.response(record, scored, models),
        }

    def _parts(
        self, one: Mapping[str, Any], record: Mapping[str, Any], silence: float | None, are_told: bool
    ) -> Sequence[Mapping[str, Any]]:
        """The parts of one value; not to be changed, as others are told the same."""
        action = self._actions.get(one["action_id"])
        channel = one["key"].partition("@")[2] or record["channels"][0]
        propensity, is_mine = record["purchase_propensity"], action is not None and action.incentive is not None
        if is_mine or "worth" in one:
            return self._taken_apart(one, action, channel, propensity, silence, are_told)
        alike = (are_told, channel, silence, *one, *one.values())
        if (found := self._remembered.get(alike)) is None:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            found = self._taken_apart(one, action, channel, None, silence, are_told)
            self._remembered[alike] = found
        return found

    def _taken_apart(
        self,
        one: Mapping[str, Any],
        action: Action | None,
        channel: str,
        propensity: float | None,
        silence: float | None,
        are_told: bool,
    ) -> Sequence[Mapping[str, Any]]:
        parts = worth_of(
            one, action, brand=self._brand, channel=channel, purchase_propensity=propensity, silence=silence
        )
        told = [part.as_dict() for part in parts]
        return adding_up(told) if are_told else told


def age_in_words(seconds: float | None) -> str:
    """How old something is, as people say it."""
    if seconds is None:
        return "unknown"
    for unit, length in (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0)):
        if seconds >= length:
            n = round(seconds / length)
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{seconds:.0f} seconds"
