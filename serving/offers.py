"""What competes for one place: each action on each channel that the catalogue's own rules let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from experiments.assignment import Assignment
from features.brand import Exploration, Placement, Policy
from features.catalogue import Action
from features.rendering import NotRenderable, RenderedMessage
from serving.eligibility import Suppressed
from serving.policy import NO_EXPLORATION
from serving.shelf import Place
from serving.values import Valuation, on_one_scale


class Unwritten:
    """A message that can be said, and is written where somebody reads it: of all that competes, what is drawn.

    Args:
        locale: of its texts.
        write: gives the message, which is known to be one.
    """

    __slots__ = ("_message", "_write", "locale")

    def __init__(self, locale: str, write: Callable[[], RenderedMessage | NotRenderable]) -> None:
        self.locale = locale
        self._write = write
        self._message: RenderedMessage | None = None

    @property
    def message(self) -> RenderedMessage:
        """Written once.

        Raises:
            ValueError: it cannot be said after all, which is a fault of `is_surely_said`.
        """
        if self._message is None:
            written = self._write()
            if isinstance(written, NotRenderable):
                raise ValueError(f"A message that could surely be said cannot be: {written.reason}.")
            self._message = written
        return self._message

    def __eq__(self, other: object) -> bool:
        return self.message == (other.message if isinstance(other, Unwritten) else other)

    def __hash__(self) -> int:
        return hash((Unwritten, self.locale))


Sayable = RenderedMessage | Unwritten  # what can be said, written or not


class Offer(msgspec.Struct, frozen=True):
    """An action on a channel, ready to be said.

    A struct, since each decision makes some dozens: a frozen dataclass takes ten times as long to make (2.3 µs).

    Attributes:
        key: what distributions call it: the action's id; `action@channel` where several channels were asked.
        action: of the catalogue.
        channel: the brand's name of it.
        place: the placement on that channel.
        valuation: what taking it is worth.
        said: the message as the customer would read it, with a stand-in for a coupon's code; or that can be written.
        cost: what a budget is charged: the incentive's cost and the channel's price.
        head: how a record begins to tell of it, up to its rate: the same for all who are told the same; may be empty.
    """

    key: str
    action: Action
    channel: str
    place: Place
    valuation: Valuation
    said: Sayable
    cost: float
    head: bytes = b""

    @property
    def message(self) -> RenderedMessage:
        """As the customer would read it."""
        return self.said if isinstance(self.said, RenderedMessage) else self.said.message

    @property
    def is_alone(self) -> bool:
        """Whether this is the only channel on which the action was asked for."""
        return self.key == self.action.id


def comparable(offers: Sequence[Offer], nothing: Valuation | None) -> tuple[Sequence[Offer], Valuation | None]:
    """What competes in one decision, all on one scale: see `on_one_scale`.

    Args:
        offers: of every channel, questions included.
        nothing: what saying nothing is worth; None where it does not compete.
    """
    told = [offer.valuation for offer in offers] + ([] if nothing is None else [nothing])
    valued = on_one_scale(told)
    if valued is told:
        return offers, nothing
    mended = [
        offer if one is offer.valuation else replace(offer, valuation=one)
        for offer, one in zip(offers, valued, strict=False)
    ]
    return mended, None if nothing is None else valued[-1]


class Situation(msgspec.Struct, frozen=True):
    """Who is spoken to, where, when, and who speaks first."""

    decision_id: str
    customer_key: int
    decided_at: datetime
    placement: str
    initiated_by: Literal["customer", "brand"]
    channels: tuple[str, ...]  # that were asked for
    locale_asked: str | None


class Scores(msgspec.Struct, frozen=True):
    """What the models and the funnel rule say of the customer, or why the models said nothing."""

    stage: str
    segment: str | None = None
    segment_probability: float | None = None
    propensities: tuple[tuple[int, float], ...] = ()  # (horizon in days, P(buys within it)), horizons rising
    purchase_propensity: float | None = None  # over the brand's middle horizon
    fallback_reason: str | None = None


class Prepared(msgspec.Struct, frozen=True):
    """Everything that one decision needs but the counters: made once, settled as often as the counters change.

    Attributes:
        situation: who, where, when.
        placement: who speaks first there, with its baseline and its fallback.
        assignment: the customer's arm.
        scores: of the customer, or why there are none.
        offers: what the catalogue's own rules let through, in the catalogue's order; by channel as they were asked.
        nothing: what silence is worth, where the brand would speak first; None where a customer waits for an answer.
        suppressed: what the catalogue's own rules keep away, and by which.
        answers: the placement's fallback, then its baseline, on each channel on which they can be said.
        policy: how an action is drawn from the values.
        draws: one uniform draw in [0, 1) a slot; as many slots as were asked for.
        versions: of every input, by name.
        locale: in which the customer is spoken to, if there is a rendering in it.
        zone: of the customer's clock; None where only the brand's is known.
        consents: the customer's, on record and not withdrawn.
        reward_scale: what `squarecb` divides a gap by; None for the largest value.
        new: by id, the exposures so far of actions that have not had those that exploration gives them.
        exploration: which share of the probability those have.
        is_deferred: whether it is only reserved until its exposure is reported.
        inputs: what the ledger keeps beside the record, so that the decision can be made once more.
        unknown_intent: what the caller says that the customer wants, where the brand knows no such intent.
        off_script: what then answers, whatever else could be offered.
        conversation_id: as the caller names it.
    """

    situation: Situation
    placement: Placement
    assignment: Assignment
    scores: Scores
    offers: Sequence[Offer]
    nothing: Valuation | None
    suppressed: tuple[Suppressed, ...]
    answers: tuple[Offer, ...]
    policy: Policy
    draws: tuple[float, ...]
    versions: Mapping[str, str]
    locale: str
    zone: str | None = None
    consents: tuple[str, ...] = ()
    reward_scale: float | None = None
    new: Mapping[str, int] = msgspec.field(default_factory=dict)
    exploration: Exploration = NO_EXPLORATION
    is_deferred: bool = False
    inputs: str | None = None
    unknown_intent: str | None = None
    off_script: Offer | None = None
    conversation_id: str | None = None
