"""Records are written in pieces, some of them once for all: the bytes are those of the whole."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from experiments.records import HOLDOUT, PERSONALISED
from serving.decide import Decision, settle
from tests.serving.tiny_offers import an_offer, prepared

CANONICAL = msgspec.json.Encoder(order="sorted")
AMOUNTS = st.floats(-1e6, 1e6, allow_nan=False)


def a_decision(values: list[float], *, arm: str, rewards: bool, n_slots: int) -> Decision:
    offers = [an_offer(f"offer_{n}", value=value) for n, value in enumerate(values)]
    if rewards:
        offers = [replace(one, valuation=replace(one.valuation, reward=one.valuation.value / 3)) for one in offers]
    return settle(prepared("d-1", *offers, arm=arm, draws=(0.3,) * n_slots, answers=(offers[0],)))


@given(
    values=st.lists(AMOUNTS, min_size=1, max_size=6),
    arm=st.sampled_from([PERSONALISED, HOLDOUT]),
    rewards=st.booleans(),
    n_slots=st.integers(1, 3),
)
def test_a_record_has_the_bytes_of_its_dictionary_in_the_order_of_the_alphabet(
    values: list[float], arm: str, rewards: bool, n_slots: int
) -> None:
    decision = a_decision(values, arm=arm, rewards=rewards, n_slots=n_slots)
    record, distribution = decision.written()
    assert record == decision.record() == CANONICAL.encode(decision.as_dict()).decode()
    assert json.loads(distribution) == decision.distribution.as_dict()
