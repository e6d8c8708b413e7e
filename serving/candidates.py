"""What competed in a decision, as its record tells it: JSON whose fields stand in the order of the alphabet.

Of one action only its value and the reward that is expected of it are a customer's own. So the rest is encoded once
for all of the same segment and stage, and the numbers of all candidates in one go. Invariant: the bytes are those of
encoding each candidate whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from features.catalogue import NOTHING
from serving.offers import Offer
from serving.values import EstimatedRate, Valuation

_CANONICAL = msgspec.json.Encoder(order="sorted")
_AS_DECLARED = msgspec.json.Encoder()


class _Head(msgspec.Struct):
    """A candidate's fields up to its rate, in the order of the alphabet: nothing has to be sorted to write them."""

    action_id: str
    base: float | msgspec.UnsetType
    key: str
    n_converted: int
    n_decided: float
    prior: float
    rate: float


class _Tail(msgspec.Struct):
    """The fields after its rate."""

    reward: float | msgspec.UnsetType
    value: float
    worth: msgspec.Raw | msgspec.UnsetType


def head_of(action_id: str, key: str, rate: EstimatedRate, *, base: float | None = None) -> bytes:
    """How a record begins to tell of a candidate, open to what follows.

    Args:
        action_id: `nothing` included.
        key: as distributions call it.
        rate: of its goal.
        base: what puts its value beside those of a response model.
    """
    told_base = msgspec.UNSET if base is None else base
    head = _Head(action_id, told_base, key, rate.n_converted, rate.n_decided, rate.prior, rate.rate)
    return _AS_DECLARED.encode(head)[:-1]


def with_nothing(told: bytes, nothing: Valuation | None) -> bytes:
    """All candidates, in the catalogue's order, `nothing` last, as canonical JSON.

    Args:
        told: those that may be offered, as `recorded_offers` tells of them.
        nothing: what silence is worth; None where it does not compete.
    """
    if nothing is not None:
        told += (b"," if told else b"") + _whole(NOTHING, nothing)
    return b"[%b]" % told


def recorded_head(offer: Offer) -> bytes:
    """How a record tells of an offer that rests on its rate, up to its value."""
    rate = offer.valuation.rate
    return (offer.head or head_of(offer.action.id, offer.key, rate)) + b',"value":'


def recorded_offers(offers: Sequence[Offer]) -> bytes:
    """How a record tells of offers, one after the other."""
    values = _numbers([offer.valuation.value for offer in offers])
    rewards = _numbers([offer.valuation.reward for offer in offers])
    told = [
        offer.head + (b',"value":' if reward == b"null" else b',"reward":' + reward + b',"value":') + value + b"}"
        if offer.head and offer.valuation.base is None and offer.valuation.worth is None
        else _whole(offer.key, offer.valuation)
        for offer, value, reward in zip(offers, values, rewards, strict=True)
    ]
    return b",".join(told)


def _numbers(numbers: Sequence[float | None]) -> list[bytes]:
    return _AS_DECLARED.encode(numbers)[1:-1].split(b",") if numbers else []


def _whole(key: str, valuation: Valuation) -> bytes:
    tail = _Tail(
        msgspec.UNSET if valuation.reward is None else valuation.reward,
        valuation.value,
        msgspec.Raw(_CANONICAL.encode(valuation.worth.as_dict())) if valuation.worth else msgspec.UNSET,
    )
    head = head_of(valuation.action_id, key, valuation.rate, base=valuation.base)
    return head + b"," + _AS_DECLARED.encode(tail)[1:]
