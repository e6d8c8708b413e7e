"""The body that a provider takes: each against its golden file, written after the provider's documentation."""

from __future__ import annotations

import json
import os
from email import message_from_string
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from features.brand import Channel
from features.messages import RenderedMessage
from serving.formats import FORMATS, formatted, why_not_format
from tests.serving.tiny_world import a_brand

GOLDEN = Path(__file__).parent / "golden"

PLAIN = RenderedMessage(
    locale="hi", hook="", body="नमस्ते! आज क्या ढूँढ रहे हैं?", media=None, link=None, suggested_replies=(), template=None
)
IMAGE = {"url": "https://shop.example/rose.jpg", "kind": "image", "alt": "A rose"}
LINK = {"url": "https://shop.example/rose?a=1&b=2", "label": "See the rose"}


def with_replies(message: RenderedMessage, *labels: str, **said: Any) -> RenderedMessage:
    replies = tuple({"text": label, "payload": f"token-{number}"} | said for number, label in enumerate(labels))
    return replace(message, suggested_replies=labels, replies=replies)


ITEMS = (
    {
        "title": "Rose water",
        "url": "https://shop.example/p/1",
        "image": "https://shop.example/p/1.png",
        "price": "₹499",
    },
    {"title": "Rose cream", "url": "https://shop.example/p/2"},
)
RICH = replace(PLAIN, locale="th", hook="กุหลาบ", body="ดูแลผิวด้วยกุหลาบค่ะ\n\nลองดูนะคะ", media=IMAGE, link=LINK)
MESSAGES = {
    "text": PLAIN,
    "text_with_links": replace(PLAIN, items=ITEMS),
    "buttons": with_replies(replace(RICH, media=None), "ใช่ค่ะ", "ไว้ก่อนนะ"),
    "buttons_and_picture": with_replies(RICH, "ใช่ค่ะ", "ไว้ก่อนนะ"),
    "list": with_replies(PLAIN, "रूखापन", "मुँहासे", "बेजान त्वचा", "संवेदनशील त्वचा"),
    "link": replace(RICH, media=None),
    "picture": replace(RICH, link=None),
    "items": replace(RICH, items=ITEMS),
    "template": replace(
        PLAIN,
        template={"name": "curated_v1", "language": "hi", "category": "marketing", "parameters": ["रूखापन", "₹499"]},
    ),
    "bare_template": replace(
        PLAIN, template={"name": "hello_v1", "language": "en_US", "category": "utility", "parameters": []}
    ),
    "whole_template": with_replies(
        replace(
            RICH,
            template={
                "name": "roses_v1",
                "language": "th",
                "category": "marketing",
                "header": "media",
                "buttons": "replies",
                "parameters": ["฿499"],
            },
        ),
        "ใช่ค่ะ",
        "ไว้ก่อนนะ",
    ),
    "letter": replace(
        RICH,
        subject="กุหลาบสำหรับคุณ <3",
        hook="กุหลาบ & <b>ผิว</b>",
        items=ITEMS,
        open_url="https://r.example/o/token.gif",
        unsubscribe_url="https://r.example/u/token",
    ),
}
GIVEN = {
    "whatsapp": (
        "text",
        "text_with_links",
        "buttons",
        "buttons_and_picture",
        "list",
        "link",
        "picture",
        "items",
        "template",
        "bare_template",
        "whole_template",
    ),
    "line": ("text", "buttons", "buttons_and_picture", "list", "link", "picture", "items"),
    "email": ("text", "letter"),
    "neutral": ("items", "template"),
}


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, names in GIVEN.items() for name in names])
def test_the_body_is_what_the_provider_documents(form: str, name: str) -> None:
    said = formatted(MESSAGES[name], format=form)
    golden = GOLDEN / f"{form}_{name}.json"
    if os.environ.get("RAPPORT_WRITE_GOLDEN"):
        golden.write_text(json.dumps(said, ensure_ascii=False, indent=2) + "\n")
    assert said == json.loads(golden.read_text())


def test_an_email_says_the_same_in_its_parts_as_in_its_whole() -> None:
    letter = replace(MESSAGES["letter"], unsubscribe_url="https://r.example/u/" + "t0k-en_" * 20)
    said = formatted(letter, format="email")
    mail = message_from_string(said["mime"], policy=SMTP.clone(refold_source="none"))
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert mail["Subject"] == said["subject"]
    assert text.get_content().replace("\r\n", "\n") == said["text"]
    assert html.get_content().replace("\r\n", "\n") == said["html"]
    assert {name: mail[name] for name in said["headers"]} == said["headers"]
    assert f"List-Unsubscribe: <{letter.unsubscribe_url}>".encode() in mail.as_bytes()


@given(
    subject=st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1).map(str.strip),
    body=st.text(alphabet="aé ก😀\r\n.=-", min_size=1),
)
def test_any_letter_is_read_as_it_was_written(subject: str, body: str) -> None:
    said = formatted(replace(PLAIN, subject=subject, body=body), format="email")
    mail = message_from_string(said["mime"], policy=SMTP)
    text = mail.get_body(("plain",))
    assert text is not None
    assert " ".join(mail["Subject"].split()) == " ".join(subject.split())
    assert text.get_content().replace("\r\n", "\n") == said["text"].replace("\r\n", "\n").replace("\r", "\n")
    assert not mail.defects
    assert said["mime"].isascii()
    assert max(map(len, said["mime"].split("\r\n"))) <= 998


def test_a_line_ends_in_one_way_however_it_was_written() -> None:
    said = formatted(replace(PLAIN, hook="", body="one\r\ntwo\r\n\r\nthree\rfour"), format="email")
    text = message_from_string(said["mime"], policy=SMTP).get_body(("plain",))
    assert text is not None
    assert text.get_payload(decode=True) == b"one\r\ntwo\r\n\r\nthree\r\nfour\r\n"
    assert "<p>one<br>\ntwo</p>\n<p>three<br>\nfour</p>" in said["html"]


def test_one_click_is_promised_over_https_only() -> None:
    assert formatted(PLAIN, format="email")["headers"] == {}
    local = formatted(replace(PLAIN, unsubscribe_url="http://localhost:3000/u/t"), format="email")
    assert local["headers"] == {"List-Unsubscribe": "<http://localhost:3000/u/t>"}


def test_what_a_customer_wrote_is_no_html() -> None:
    told = replace(RICH, body="<script>x</script>", link=LINK | {"url": 'https://x.example/"><script>'})
    assert "<script>" not in formatted(told, format="email")["html"]


def test_the_same_message_is_the_same_email() -> None:
    assert formatted(MESSAGES["letter"], format="email") == formatted(MESSAGES["letter"], format="email")


def test_a_reply_without_a_payload_says_its_words() -> None:
    bare = replace(PLAIN, suggested_replies=("हाँ",), replies=({"text": "हाँ"},))
    (button,) = formatted(bare, format="whatsapp")["interactive"]["action"]["buttons"]
    (quick,) = formatted(bare, format="line")["messages"][0]["quickReply"]["items"]
    assert button["reply"] == {"id": "हाँ", "title": "हाँ"}
    assert quick["action"] == {"type": "message", "label": "हाँ", "text": "हाँ"}


def test_a_long_message_is_named_by_its_beginning_in_lines_list_of_talks() -> None:
    said = formatted(replace(RICH, hook="", body="ก" * 500), format="line")["messages"][0]
    assert said["altText"] == "ก" * 399 + "…"
    assert said["contents"]["body"]["contents"] == [{"type": "text", "text": "ก" * 500, "wrap": True}]


def test_a_format_is_given_on_the_channels_that_name_it() -> None:
    channel = Channel(kind="chat", consent="session", body_limit=500, format="whatsapp")
    brand = a_brand(channels=a_brand().channels | {"wa": channel})
    assert why_not_format("whatsapp", channels=["wa"], brand=brand) is None
    assert all(why_not_format("neutral", channels=[name], brand=brand) is None for name in brand.channels)
    other = why_not_format("line", channels=["wa"], brand=brand)
    none = why_not_format("whatsapp", channels=["wa", "chat"], brand=brand)
    assert other is not None
    assert "Ask for whatsapp" in other
    assert none is not None
    assert "channel 'chat', which names no format" in none
    assert "Ask for channel," in none
    unknown = why_not_format("telegram", channels=["wa"], brand=brand)
    assert unknown == f"'telegram' is no format. The formats are: {', '.join(FORMATS)}."
