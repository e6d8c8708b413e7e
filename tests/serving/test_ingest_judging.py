"""One call judged: what it becomes in the log, or why it cannot be taken."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contract import EVENT_SCHEMA
from features.event_names import MOST_REMEMBERED, UnusualNames
from serving.ingest.judging import LARGEST_EVENT, Letter, Taken
from serving.ingest.verdicts import Verdict
from tests.serving.judged_calls import BRAND, detail, judged, refused, refused_track, taken, tracked

# -- columns ----------------------------------------------------------------------------------------------------------


def test_properties_become_columns_and_the_rest_is_kept() -> None:
    line = {"product_id": 7, "category": "soap", "price": "2.50", "quantity": 2, "colour": "blue"}
    columns = tracked("Order Completed", order_id=17, total="5.00", currency="eur", products=[line], coupon="X")
    assert columns == {
        "event": "Order Completed",
        "order_id": "17",
        "total": 5.0,
        "currency": "EUR",
        "products": [{"product_id": "7", "category": "soap", "price": 2.5, "quantity": 2}],
        "properties": {"coupon": "X"},
    }


def test_the_product_that_segment_writes_into_the_properties_is_one_product() -> None:
    columns = tracked("Product Viewed", sku="s-1", name="Soap", price=3, url="https://shop.example/soap")
    assert columns["products"] == [{"product_id": "s-1", "name": "Soap", "price": 3}]
    assert columns["properties"] == {"url": "https://shop.example/soap"}


def test_conversation_and_step_are_kept() -> None:
    columns = tracked("Chat Step", conversation_id="talk-1", step=3)
    assert (columns["conversation_id"], columns["step"]) == ("talk-1", "3")


def test_an_order_that_says_revenue_only_has_it_as_its_total() -> None:
    assert tracked("Order Completed", revenue=12)["total"] == 12


def test_a_refund_is_positive_whatever_its_sign() -> None:
    columns = tracked("Order Refunded", total=-5, products=[{"product_id": "a", "quantity": -1, "price": 5}])
    assert columns["total"] == 5
    assert columns["products"] == [{"product_id": "a", "quantity": 1, "price": 5}]


def test_a_text_where_an_ordinary_event_has_a_value_is_no_fault() -> None:
    assert tracked("Field Changed", value="blue")["properties"] == {"value": "blue"}


@pytest.mark.parametrize(
    ("event", "properties", "reason"),
    [
        ("Order Completed", {"total": "many"}, "unparsable_total"),
        ("Order Completed", {"total": 1e300}, "unparsable_total"),
        ("Order Completed", {"total": -1}, "negative_price"),
        ("Order Completed", {"products": [{"price": -1}]}, "negative_price"),
        ("Order Completed", {"products": [{"quantity": -1}]}, "negative_quantity"),
        ("Order Completed", {"products": "soap"}, "unparsable_products"),
        ("Order Completed", {"total": 1, "currency": "USD"}, "unknown_currency"),
        ("Outcome Measured", {"outcome": "order", "value": "x"}, "unparsable_value"),
        ("Message Sent", {"action_id": "tip", "action_probability": 1.5}, "probability_out_of_range"),
        ("Consent Withdrawn", {"channel": "maill"}, "unknown_channel"),
        ("Consent Withdrawn", {"channel": ["mail"]}, "unknown_channel"),
        ("Consent Given", {"purpose": "everything"}, "unknown_purpose"),
        ("Question Answered", {"trait": "shoe_size", "answer": 42}, "unknown_trait"),
        ("Question Answered", {"trait": "need", "answer": None, "purpose": "marketting"}, "unknown_purpose"),
        ("Question Answered", {"trait": "need", "answer": None, "purpose": ["marketing"]}, "unknown_purpose"),
        ("Question Answered", {"answer": 42}, "unknown_trait"),
        ("Order Completed", {"total": 5, "currency": {"code": "USD"}}, "unknown_currency"),
        ("Order Completed", {"total": 5, "currency": "EUR" * 100}, "unknown_currency"),
        ("Question Answered", {"trait": "locale", "answer": "en\n"}, "invalid_answer"),
        ("Question Answered", {"trait": "time_zone", "answer": "x" * 65}, "invalid_answer"),
        ("Question Answered", {"trait": "need", "answer": "wet"}, "invalid_answer"),
        ("Question Answered", {"trait": "born", "answer": "yesterday"}, "invalid_answer"),
        ("Question Answered", {"trait": "income", "answer": True}, "invalid_answer"),
        ("identify", {}, "reserved_event_name"),
        ("", {}, "no_event_name"),
    ],
)
def test_what_would_be_counted_wrongly_is_a_dead_letter(event: str, properties: dict[str, Any], reason: str) -> None:
    assert refused_track(event, **properties) == reason


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"type": "track", "event": "X", "userId": None}, "no_id"),
        ({"type": "track", "event": "X", "userId": "x" * 257}, "no_id"),
        ({"type": "track", "event": "X", "userId": "a\u0000b"}, "no_id"),
        ({"type": "track", "event": "X", "userId": {"id": 1}}, "not_valid"),
        ({"type": "track", "event": "X", "properties": []}, "not_valid"),
        ({"type": "track", "event": 5}, "not_valid"),
        ({"type": "track", "event": "X", "messageId": ""}, "unusable_message_id"),
        ({"type": "alias"}, "no_id"),
        ({"type": "alias", "previousId": "old", "userId": None, "anonymousId": "a"}, "no_id"),
        ({"type": "trakc", "event": "X"}, "unknown_type"),
        ({"event": "X"}, "unknown_type"),
        ({"type": "track", "event": "X", "timestamp": "yesterday"}, "unparsable_timestamp"),
    ],
)
def test_a_call_that_is_none_is_a_dead_letter(call: dict[str, Any], reason: str) -> None:
    assert refused(call) == reason


def test_traits_that_were_asked_for_a_purpose_that_nobody_knows_are_a_dead_letter() -> None:
    call = {"type": "identify", "traits": {"vegan": True}, "context": {"purpose": "marketting"}}
    assert refused(call) == "unknown_purpose"
    assert taken(call | {"traits": {}}) == {"event": "identify"}  # nothing was asked


def test_a_consent_that_gives_no_channel_is_told_so() -> None:
    call = {"userId": "u", "messageId": "m", "type": "track", "event": "Consent Given"}
    verdicts = [
        judged(call | {"properties": said}) for said in ({}, {"purpose": "personalisation"}, {"channel": "mail"})
    ]
    assert [one.verdict.reason for one in verdicts if isinstance(one, Taken)] == ["no_channel_given", None, None]


def test_an_event_over_32_kilobytes_is_rejected_and_says_which() -> None:
    verdict = judged({"type": "track", "event": "X", "messageId": "big", "properties": {"text": "x" * LARGEST_EVENT}})
    assert isinstance(verdict, Verdict)
    assert (verdict.messageId, verdict.status, verdict.reason) == ("big", "rejected", "too_large")


def test_a_message_without_an_id_gets_one_and_is_told() -> None:
    one, other = (judged({"type": "track", "userId": "u", "event": "X"}) for _ in range(2))
    assert isinstance(one, Taken)
    assert isinstance(other, Taken)
    assert one.verdict.reason == "message_id_made"
    assert one.message_id == one.verdict.messageId != other.message_id


def test_a_messages_id_is_taken_as_it_is_however_long() -> None:
    one = judged({"type": "track", "userId": "u", "event": "X", "messageId": "m" * 300})
    assert isinstance(one, Taken)
    assert (one.message_id, one.verdict.messageId, one.verdict.reason) == ("m" * 300, "m" * 300, None)


@pytest.mark.parametrize("unusable", ["", 10**30])
def test_an_id_that_is_none_makes_a_dead_letter_which_is_the_same_when_it_is_sent_again(unusable: object) -> None:
    call = {"type": "track", "userId": "u", "event": "X", "messageId": unusable}
    one, again = judged(call), judged(call)
    assert isinstance(one, Letter)
    assert isinstance(again, Letter)
    assert one.verdict.reason == "unusable_message_id"
    assert one.message_id == again.message_id


def test_a_page_is_a_page_view_with_its_name() -> None:
    columns = taken({"type": "page", "name": "Home", "category": "Shop", "properties": {"path": "/"}})
    assert columns["event"] == "Page Viewed"
    assert columns["properties"] == {"path": "/", "name": "Home", "category": "Shop"}


# -- declared traits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trait", "answer", "kept"),
    [
        ("need", "dry", "dry"),
        ("likes", ["soap", "soap"], '["soap"]'),
        ("likes", "scent", '["scent"]'),
        ("income", "40000", "40000"),
        ("income", 12.5, "12.5"),
        ("born", "1990-04-23T00:00:00Z", "1990-04-23"),
        ("vegan", True, "true"),
        ("locale", "hi_IN", "hi-IN"),
        ("time_zone", "Asia/Kolkata", "Asia/Kolkata"),
    ],
)
def test_an_answer_is_kept_as_text(trait: str, answer: object, kept: str) -> None:
    columns = tracked("Question Answered", trait=trait, answer=answer)
    assert (columns["trait"], columns["answer"]) == (trait, kept)


def test_an_empty_answer_takes_back_what_was_said() -> None:
    nothing: tuple[object, ...] = (None, [])
    for answer in nothing:
        columns = tracked("Question Answered", trait="likes", answer=answer)
        assert "answer" not in columns
        assert columns["trait"] == "likes"


def test_an_answer_keeps_how_it_was_asked() -> None:
    asked = {"question": "What?", "purpose": "marketing", "notice_version": "v2"}
    columns = tracked(
        "Question Answered", context={"locale": "hi-IN"}, trait="need", answer="dry", channel="web", **asked
    )
    assert columns["channel"] == "web"
    assert columns["properties"] == asked | {"locale_shown": "hi-IN"}


def test_of_an_identify_only_declared_traits_are_kept_and_the_others_are_told() -> None:
    traits = {"need": "dry", "income": "40000", "email": "a@b.example", "born": "yesterday"}
    context = {"channel": "web", "locale": "en", "purpose": "marketing", "notice_version": "v2", "question": "Who?"}
    call = {"type": "identify", "userId": "u", "messageId": "m", "traits": traits, "context": context}
    one = judged(call)
    assert isinstance(one, Taken)
    assert "a@b.example" not in one.payload
    columns = json.loads(one.payload)
    assert columns["channel"] == "web"
    assert json.loads(columns["properties"]) == {
        "need": "dry",
        "income": 40000,
        "_told": {"question": "Who?", "purpose": "marketing", "notice_version": "v2", "locale_shown": "en"},
    }
    assert (one.verdict.status, one.verdict.reason) == ("accepted", "traits_ignored")
    assert "email (not declared" in str(one.verdict.detail)
    assert "born (must be a date" in str(one.verdict.detail)


def test_free_text_never_stands_in_the_log() -> None:
    told = {"trait": "note", "answer": "my secret", "question": "Why?", "conversation_id": "c", "step": "2"}
    answered = judged({"type": "track", "userId": "u", "event": "Question Answered", "properties": told})
    identified = judged({"type": "identify", "userId": "u", "traits": {"note": "my secret", "need": "dry"}})
    for one in (answered, identified):
        assert isinstance(one, Taken)
        assert "secret" not in one.payload
        assert [(said.trait, said.value) for said in one.texts] == [("note", "my secret")]
    assert isinstance(answered, Taken)
    assert answered.texts[0].evidence == {"question": "Why?", "conversation_id": "c", "step": "2"}


def test_a_misspelt_trait_channel_or_purpose_is_told_the_closest_one() -> None:
    assert "'ned'. Closest: 'need'." in detail({"event": "Question Answered", "properties": {"trait": "ned"}})
    assert "Closest: 'mail'." in detail({"event": "Consent Given", "properties": {"channel": "emial"}})
    assert "closest: 'need'" in detail({"type": "identify", "traits": {"ned": "x"}})


@pytest.mark.parametrize("name", ["order completed", "Order_Completed", "OrderComplete", "Ordr Completed"])
def test_an_event_that_is_almost_a_known_one_is_taken_and_told(name: str) -> None:
    one = judged({"type": "track", "userId": "u", "messageId": "m", "event": name})
    assert isinstance(one, Taken)
    assert one.verdict.reason == "unusual_event_name"
    assert "'Order Completed'" in str(one.verdict.detail)
    assert json.loads(one.payload)["event"] == name


@pytest.mark.parametrize("name", ["Order Completed", "Message Received", "Quiz Completed", "Subscribed"])
def test_known_names_and_a_shops_own_are_not_called_unusual(name: str) -> None:
    one = judged({"type": "track", "userId": "u", "messageId": "m", "event": name})
    assert isinstance(one, Taken)
    assert one.verdict.reason is None


def test_whoever_makes_up_event_names_does_not_keep_a_server_busy() -> None:
    names = UnusualNames(BRAND)
    for n in range(MOST_REMEMBERED):
        names.meant(f"made up {n}")
    assert names.meant("order completed") is None  # no more are looked at
    assert names.meant("Order Completed") is None


# -- whatever comes ---------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["userId", "anonymousId", "previousId", "messageId", "timestamp", "sentAt", "event", "name", "context", "traits"]
)
PROPERTIES = st.dictionaries(st.sampled_from([*EVENT_SCHEMA.names, "answer", "sku", "purpose"]) | st.text(), ANYTHING)
EVENTS = st.sampled_from([*BRAND.events.model_dump().values(), "X"])
TYPES = st.sampled_from(["identify", "track", "page", "screen", "alias", "group"])
TRAITS = st.dictionaries(st.sampled_from([*BRAND.traits, "locale", "time_zone", "email"]), ANYTHING)


@given(
    call=st.dictionaries(NAMES, ANYTHING, max_size=5),
    known=st.fixed_dictionaries(
        {}, optional={"type": TYPES, "event": EVENTS, "properties": PROPERTIES, "traits": TRAITS}
    ),
)
def test_whatever_is_sent_is_judged_and_what_is_taken_fits_the_event_table(
    call: dict[str, Any], known: dict[str, Any]
) -> None:
    one = judged(json.dumps({"userId": "u"} | call | known).encode())
    verdict = one if isinstance(one, Verdict) else one.verdict
    assert verdict.messageId
    assert (verdict.status == "accepted") is isinstance(one, Taken)
    if isinstance(one, Taken):
        columns = json.loads(one.payload)
        assert columns.keys() <= set(EVENT_SCHEMA.names)
        for name, value in columns.items():
            kinds: dict[pa.DataType, Any] = {pa.string(): str, pa.float64(): (int, float)}
            assert isinstance(value, kinds.get(EVENT_SCHEMA.field(name).type, list)), name
            assert not isinstance(value, bool), name
        assert isinstance(json.loads(columns.get("properties", "{}")), dict)
        assert one.occurred_us <= one.arrived_us
