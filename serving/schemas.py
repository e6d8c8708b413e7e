"""What may be asked over HTTP: strict, no unknown fields, every text bounded."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from experiments.records import Outcome
from features.brand import Locale
from features.message_limits import LONGEST_DECISION_ID
from features.parts import Instant
from serving.formats import Format
from serving.joining.tokens import LONGEST_TOKEN

CUSTOMER_ID_LENGTH = 256
TEXT_LENGTH = 4_096
OUTCOMES_IN_ONE_REQUEST = 1_000
LONGEST_LIST = 50
PLACES_IN_ONE_REQUEST = 20
LONGEST_WAIT_SECONDS = 31 * 86_400

TraitValue = str | bool | int | FiniteFloat | list[str]


def _in_one_sentence(value: Any, is_one: ValidatorFunctionWrapHandler) -> Any:
    """Refuses a value once; a union's own fault is one a branch, at places that the body does not have."""
    try:
        return is_one(value)
    except ValidationError as wrong:
        raise ValueError("must be a text, a finite number, true or false, or a list of texts") from wrong


ToldValue = Annotated[TraitValue, WrapValidator(_in_one_sentence)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=CUSTOMER_ID_LENGTH), AfterValidator(_printable)]
OwnId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
# Shorter, since it is in the payload of every button, which providers limit.
OwnDecisionId = Annotated[
    str, StringConstraints(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{LONGEST_DECISION_ID - 1}}}$")
]
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(max_length=TEXT_LENGTH)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TOKEN)]
CouponCode = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
RefusalReason = Literal["not_now", "never"]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Context(_Asked):
    """What the caller knows at this moment; used for this decision only and never stored as the customer's."""

    intent: ShortName | None = Field(None, description="What the customer wants, as your bot understood it.")
    inbound_text: Text | None = Field(None, description="What the customer has just written; never stored.")
    traits: Annotated[dict[ShortName, ToldValue], Field(max_length=64)] = Field(
        default_factory=dict, description="Traits that you know and Rapport may not, by the names of brand.yaml."
    )
    conversation_id: Identifier | None = Field(
        None, description="Your own id of this conversation: so many questions at most are asked in one."
    )
    currency: Annotated[str, StringConstraints(min_length=1, max_length=16)] | None = Field(
        None, description="The currency in which you show prices: the brand's, or the request is refused."
    )
    session_open: bool = Field(
        False, description="Whether a chat session is open, so that free-form messages are allowed."
    )


ActionIds = Annotated[list[ShortName], Field(min_length=1, max_length=1_000)]


class Asked(NamedTuple):
    """One place of a request: on which channels, and how many actions at most."""

    placement: str
    channels: tuple[str, ...]
    limit: int


Channels = Annotated[list[ShortName], Field(min_length=1, max_length=16)]
Limit = Annotated[int, Field(ge=1, le=LONGEST_LIST)]


class PlaceAsked(_Asked):
    """One of several places that are asked for at once."""

    placement: ShortName = Field(description="A placement of brand.yaml.")
    channel: ShortName | None = Field(None, description="One of the placement's channels.")
    channels: Channels | None = Field(None, description="Or several: each action competes on each of them.")
    limit: Limit = Field(1, description="So many actions at most, ranked.")

    @property
    def asked(self) -> Asked:
        """The place as it is decided on."""
        return Asked(self.placement, _channels(self.channel, self.channels), self.limit)


@lru_cache(maxsize=1_024)  # it is asked for five times a decision
def _alone(placement: str, channels: tuple[str, ...], limit: int) -> tuple[Asked, ...]:
    return (Asked(placement, channels, limit),)


def _channels(channel: str | None, channels: list[str] | None) -> tuple[str, ...]:
    return tuple(channels or ()) if channel is None else (channel,)


class DecisionRequest(_Asked):
    """Which customer, in which place, over which channel."""

    customer_id: Identifier | None = Field(None, description="Your own id of the customer; an unknown one is welcome.")
    anonymous_id: Identifier | None = Field(
        None, description="Where nobody has signed in yet: the device's id, as in the anonymousId of its events."
    )
    placement: ShortName | None = Field(None, description="A placement of brand.yaml.")
    channel: ShortName | None = Field(None, description="One of the placement's channels.")
    channels: Channels | None = Field(
        None, description="Or several: each action competes on each of them, and the channel's price counts."
    )
    limit: Limit = Field(1, description="So many actions at most, ranked: a carousel, a curated hub.")
    placements: Annotated[list[PlaceAsked], Field(min_length=1, max_length=PLACES_IN_ONE_REQUEST)] | None = Field(
        None, description="Instead of placement and channel: several places at once; no action twice, but to answer."
    )
    locale: Locale | None = Field(None, description="BCP 47, such as hi-IN; else the customer's, else the brand's.")
    format: Format | None = Field(
        None,
        description="Adds `formatted`: the message as the body that this provider takes, ready to post but for whom "
        "it goes to. The channel has to name that format in brand.yaml; `neutral` is given on each, and `channel` is "
        "the format of the channel that is taken, where several are asked for.",
    )
    decision_id: OwnDecisionId | None = Field(
        None, description="Your own id of this decision: asking again with the same one gives the same answer."
    )
    context: Context = Field(default_factory=Context)  # a default that cannot be hashed would be copied, deeply
    candidate_actions: ActionIds | None = Field(None, description="Only these actions may be offered.")
    excluded_actions: ActionIds | None = Field(None, description="These actions may not be said at all.")
    dry_run: bool = Field(False, description="Only say what would be decided: nothing is written, counted or taken.")
    defer: bool = Field(
        False,
        description="Reserve only: it counts until it is released, or as exposed once you POST its exposure.",
    )
    explain: bool = Field(False, description="Say also what the values rest on.")

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every place that is asked for, in order."""
        if self.placements is not None:
            return tuple(place.asked for place in self.placements)
        return _alone(self.placement or "", _channels(self.channel, self.channels), self.limit)


class OutcomeReport(_Asked):
    """What happened: after a decision, or to a customer."""

    decision_id: OwnId | None = Field(None, description="The decision that it followed; best where you know it.")
    slot: Annotated[int, Field(ge=0, lt=LONGEST_LIST)] | None = Field(
        None, description="Of a decision with several actions: which, from 0; of all of them where it is left out."
    )
    token: Token | None = Field(
        None, description="Or the payload of the button that was pressed: it names the decision and what was said."
    )
    coupon_code: CouponCode | None = Field(
        None, description="Or the coupon code that was redeemed: it names the decision that gave it out."
    )
    customer_id: Identifier | None = Field(
        None, description="Else the customer: it joins their newest decision within the brand's attribution window."
    )
    outcome: Outcome | None = Field(None, description="May be left out where a token or a coupon code says it.")
    reason: RefusalReason | None = Field(
        None, description="Of a refusal: whether they may be asked again after a while, or never; else not_now."
    )
    code: ShortName | None = Field(None, description="Of a failure: the provider's code, such as 131049.")
    retry_after_seconds: Annotated[FiniteFloat, Field(ge=0, le=LONGEST_WAIT_SECONDS)] | None = Field(
        None, description="Of a failure: for how long the provider takes no message to this customer."
    )
    goal: ShortName | None = Field(
        None, description="Of a conversion: a goal of brand.yaml; where it is left out, the first one, in every arm."
    )
    value: Annotated[FiniteFloat, Field(ge=0)] | None = Field(None, description="Money, in the brand's currency.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="Of the value, where you want it checked: the brand's."
    )
    user_agent: Annotated[str, StringConstraints(max_length=1_024)] | None = Field(
        None, description="Of the browser that opened or clicked, to tell machines from people; never stored."
    )
    is_machine: bool = Field(False, description="Your provider says that a bot or a proxy opened it or clicked.")
    occurred_at: Instant | None = Field(None, description="With its zone; now where it is left out.")
    outcome_id: OwnId | None = Field(
        None,
        description="Your own id of this outcome: the same one is written once. Without it, the same outcome of the "
        "same decision at the same time is the same.",
    )
