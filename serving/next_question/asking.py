"""What one request may ask the customer: what goes into the value of each question, apart from the offers of its place.

What depends on the ledger and on the snapshots (`Asking`) is data that the ledger can keep; what the models would say
of the customer after each answer (`imagined`) is computed from it, now and in a replay alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from msgspec.structs import replace as with_fields

from features.brand import Brand, Placement
from features.catalogue import Action
from features.packing import CustomerState
from features.schema import FeatureSchema
from serving.contact.windows import to_us
from serving.eligibility import Suppressed
from serving.models import ServedModels
from serving.next_question.asked import NEVER_ASKED, AskedBefore, asked_enough
from serving.next_question.likely import Likely
from serving.next_question.worth import Worth
from serving.schemas import DecisionRequest
from serving.scoring import Customer, ScoredCustomer, score_customers

ALREADY_KNOWN = "already_known"
WORTH_NOTHING = "worth_nothing"


@dataclass(frozen=True, slots=True)
class About:
    """What is thought of one trait of this customer before they are asked.

    Attributes:
        likely: every answer with its probability.
        decisions: expected before the trait's half-life.
        n_told: customers whose answers the probabilities rest on.
    """

    likely: tuple[Likely, ...]
    decisions: float
    n_told: float


@dataclass(frozen=True, slots=True)
class Asking:
    """What may be asked, and what that would tell; `NOT_ASKING` where no place that is asked for has questions."""

    known: frozenset[str] = frozenset()
    before: AskedBefore = NEVER_ASKED
    about: Mapping[str, About] = field(default_factory=dict)
    imagined: Mapping[str, tuple[ScoredCustomer, ...]] = field(default_factory=dict)  # in the order of `likely`
    recorded: Mapping[str, Worth] = field(default_factory=dict)  # in a replay: by the key of an offer

    def why_not(self, action: Action, placement: Placement, *, at: datetime) -> Suppressed | None:
        """Why this question is not asked, whatever it is worth; None where it may be."""
        trait = action.asks or ""
        if trait in self.known:
            return Suppressed(action.id, ALREADY_KNOWN, detail=trait)
        return asked_enough(action, placement, self.before, at_us=to_us(at))

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, without what is computed from it; empty where nothing may be asked."""
        if self is NOT_ASKING:
            return {}
        about = {
            name: {
                "likely": [[one.answer, one.probability] for one in told.likely],
                "decisions": told.decisions,
                "n_told": told.n_told,
            }
            for name, told in self.about.items()
        }
        return {"known": sorted(self.known), "before": self.before.as_dict(), "about": about}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> Asking:
        """What `as_dict` told of; `imagined` has to be filled in."""
        if not told:
            return NOT_ASKING
        about = {
            name: About(tuple(Likely(*one) for one in each["likely"]), each["decisions"], each["n_told"])
            for name, each in told["about"].items()
        }
        return cls(frozenset(told["known"]), AskedBefore.of_dict(told["before"]), about)


NOT_ASKING = Asking()


def asking_again(questions: Mapping[str, Any], record: Mapping[str, Any]) -> Asking:
    """What a recorded decision could ask, with the worths that it held each question to be.

    Args:
        questions: as `Asking.as_dict` told it.
        record: of the decision.
    """
    asking = Asking.of_dict(questions)
    return asking if asking is NOT_ASKING else replace(asking, recorded=recorded_worths(record))


def recorded_worths(record: Mapping[str, Any]) -> dict[str, Worth]:
    """What each question was held to be worth, by the key of its offer, as a decision's record says."""
    offered = {one["key"]: Worth.of_dict(one["worth"]) for one in record["candidates"] if "worth" in one}
    kept_away = {
        f"{one['action_id']}@{one['channel']}" if one.get("channel") else one["action_id"]: Worth.of_dict(
            one["counter"]
        )
        for one in record["suppressed"]
        if one["rule"] == WORTH_NOTHING
    }
    return offered | kept_away


def traits_asked(request: DecisionRequest, brand: Brand) -> tuple[str, ...]:
    """The traits that the places of a request may ask for."""
    names = (name for asked in request.asked for name in brand.placements[asked.placement].questions)
    return tuple(dict.fromkeys(names))


def known_of(customer: Customer, traits: Iterable[str]) -> frozenset[str]:
    """Those that the customer has declared, or the caller told."""
    declared: Collection[str] = customer.state.declared if isinstance(customer.state, CustomerState) else ()
    return frozenset(name for name in traits if name in declared or name in customer.told)


def imagine(
    asking: Asking,
    customer: Customer,
    *,
    models: ServedModels,
    schema: FeatureSchema,
    brand: Brand,
    at: datetime,
) -> Asking:
    """With the scores that the customer would have after each answer, all of them in one batch.

    Of a trait whose answers nobody can foresee (a date or a number of which nobody has said any yet) there are none.
    """
    told: Sequence[tuple[str, Customer]] = [
        (name, with_fields(customer, told={**customer.told, name: one.answer}))
        for name, about in asking.about.items()
        for one in about.likely
    ]
    if not asking.about:
        return asking
    imagined: dict[str, tuple[ScoredCustomer, ...]] = dict.fromkeys(asking.about, ())
    if told:
        scored = score_customers([each for _, each in told], models=models, schema=schema, brand=brand, at=at)
        for (name, _), one in zip(told, scored, strict=True):
            imagined[name] = (*imagined[name], one)
    return replace(asking, imagined=imagined)
