"""What a campaign asks: one question for all of its customers, and of each customer an id and what the caller knows.

The question is that of one decision (`DecisionRequest`) without its customer, so whatever a decision may be asked, a
campaign may be too, but for what belongs to one customer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from features.brand import Brand, Locale
from serving.problems import wrong_fields
from serving.refusals import RequestRefused, WrongField, shown
from serving.schemas import DecisionRequest, Identifier, ShortName, ToldValue
from serving.told import locale_faults, trait_faults

CUSTOMERS_IN_ONE_CAMPAIGN = 100_000
OF_ONE_CUSTOMER = ("customer_id", "anonymous_id", "decision_id", "placements")
_ANYBODY = "anybody"
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class CampaignCustomer(BaseModel):
    """One customer of a campaign; a text instead of an object is a customer_id."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    customer_id: Identifier = Field(description="Your own id of the customer; an unknown one is welcome.")
    locale: Locale | None = Field(None, description="BCP 47; else the campaign's, else the customer's own.")
    traits: Annotated[dict[ShortName, ToldValue], Field(max_length=64)] = Field(
        {}, description="Traits that you know of this customer and Rapport may not, by the names of brand.yaml."
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """A customer about whom nothing was decided, with every reason."""

    customer_id: str | None
    faults: tuple[WrongField, ...]

    def as_dict(self) -> dict[str, Any]:
        """As a line of the answer."""
        errors = [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.faults]
        return {"customer_id": self.customer_id, "status": 422, "errors": errors}


def question_of(asked: Mapping[str, Any]) -> DecisionRequest:
    """The question that every customer of the campaign is decided on, still about nobody.

    Raises:
        RequestRefused: with everything in it that is not valid, or that belongs to one customer.
    """
    rule = "belongs to one decision, not to a campaign: name each customer in `customers`, or on a line of its own."
    faults = [WrongField(f"/{name}", rule) for name in OF_ONE_CUSTOMER if name in asked]
    body = {name: value for name, value in asked.items() if name not in OF_ONE_CUSTOMER}
    try:
        question = DecisionRequest.model_validate_json(json.dumps(body | {"customer_id": _ANYBODY}))
    except ValidationError as error:
        raise RequestRefused([*faults, *wrong_fields(error, DecisionRequest)]) from None
    if faults:
        raise RequestRefused(faults)
    return question


def asked_of(question: DecisionRequest, customer: object, *, brand: Brand) -> DecisionRequest | Refused:
    """The question about one customer, or why it cannot be asked.

    Args:
        question: the campaign's.
        customer: a customer_id, or an object as JSON gave it.
        brand: whose traits a customer may bring, and whose locales are known.
    """
    if not isinstance(customer, str | dict):
        rule = 'is no customer: send a customer_id, or an object such as {"customer_id": "c-1"}, as JSON.'
        return Refused(None, (WrongField("", rule),))
    try:
        if isinstance(customer, str):
            return question.model_copy(update={"customer_id": _IDENTIFIER.validate_python(customer)})
        said = CampaignCustomer.model_validate_json(json.dumps(customer))
    except ValidationError as error:
        named = customer if isinstance(customer, str) else customer.get("customer_id")
        return Refused(shown(named) if isinstance(named, str) else None, tuple(_faults(error)))
    if faults := trait_faults(said.traits, brand) + locale_faults(said.locale, brand):
        return Refused(said.customer_id, tuple(_of_this_line(fault) for fault in faults))
    changed: dict[str, Any] = {"customer_id": said.customer_id, "locale": said.locale or question.locale}
    if said.traits:
        traits = {**question.context.traits, **said.traits}
        changed["context"] = question.context.model_copy(update={"traits": traits})
    return question.model_copy(update=changed)


def _of_this_line(fault: WrongField) -> WrongField:
    return WrongField(fault.pointer.removeprefix("/context"), fault.detail)


def _faults(error: ValidationError) -> list[WrongField]:
    """As everywhere; a customer_id that came as a text has no name of its own."""
    return [
        WrongField(fault.pointer or "/customer_id", fault.detail) for fault in wrong_fields(error, CampaignCustomer)
    ]
