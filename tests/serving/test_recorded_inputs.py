"""What goes into the ledger beside a decision comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest

from features.packing import CustomerState, Missing
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace
from serving.replaying.inputs import read_inputs, written_inputs
from serving.schemas import DecisionRequest, TraitValue
from serving.scoring import Customer
from tests.serving.tiny_world import a_brand, a_state


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> FeatureSchema:
    return feature_schema(a_brand(), Workspace(tmp_path_factory.mktemp("nothing")))


def a_request(**changes: object) -> DecisionRequest:
    return DecisionRequest.model_validate({"customer_id": "c", "placement": "reply", "channel": "web"} | changes)


def test_a_customer_comes_back_bit_by_bit(schema: FeatureSchema) -> None:
    state = a_state(schema, n_orders=0.1, consents=("mail:marketing",))
    told: dict[str, TraitValue] = {"need": "dry", "likes": ["soap"]}
    text = written_inputs(a_request(), Customer(7, state, told), new={"tip": 3})
    back = read_inputs(text, customer_key=7)
    found = back.customer.state
    assert isinstance(found, CustomerState)
    assert found.vector.tobytes() == state.vector.tobytes()
    assert np.array_equal(found.instants, state.instants)
    assert (found.consents, found.as_of, found.log_seq) == (state.consents, state.as_of, state.log_seq)
    assert back.told == ("need", "likes")
    assert (back.customer.told, "dry" in text) == ({}, False)
    assert back.new == {"tip": 3}


def test_of_an_unknown_customer_it_is_kept_why(schema: FeatureSchema) -> None:
    back = read_inputs(written_inputs(a_request(), Customer(7, Missing("unknown_customer"))), customer_key=7)
    assert back.customer.state == Missing("unknown_customer")


def test_what_was_asked_comes_back_without_what_the_customer_wrote(schema: FeatureSchema) -> None:
    context = {"intent": "buy", "inbound_text": "my secret", "session_open": True, "traits": {"need": "dry"}}
    asked = a_request(context=context, locale="hi", decision_id="mine-1")
    text = written_inputs(asked, Customer(7, Missing("unknown_customer"), asked.context.traits))
    assert "secret" not in text
    assert "mine-1" not in text
    back = read_inputs(text, customer_key=7)
    again = back.asking(placement="reply", channels=("web",), limit=3)
    assert back.had_text
    assert again.asked == (("reply", ("web",), 3),)
    assert (again.locale, again.context.intent, again.context.session_open) == ("hi", "buy", True)
    assert again.context.traits == {}
    assert back.withheld == ("need", "inbound_text")
    assert again.context.inbound_text is None


@pytest.mark.parametrize("intent", ["9876543210 my phone, call me", "order_98765", "wo ist mein paket"])
def test_an_intent_that_may_be_what_the_customer_wrote_is_not_kept(intent: str) -> None:
    unknown = Customer(7, Missing("unknown_customer"))
    text = written_inputs(a_request(context={"intent": intent}), unknown, intents=("where_is_it",))
    assert intent not in text
    back = read_inputs(text, customer_key=7)
    assert back.withheld == ("intent",)
    assert back.asking(placement="reply", channels=("web",), limit=1).context.intent not in (None, "where_is_it")


@pytest.mark.parametrize("intent", ["where_is_it", "buy", "size:L", "order_98765"])
def test_an_intent_that_the_brand_knows_or_that_is_a_name_is_kept(intent: str) -> None:
    unknown = Customer(7, Missing("unknown_customer"))
    text = written_inputs(a_request(context={"intent": intent}), unknown, intents=("where_is_it", "order_98765"))
    back = read_inputs(text, customer_key=7)
    assert (back.context["intent"], back.withheld) == (intent, ())
