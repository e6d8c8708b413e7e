"""What may be chosen is what the provider takes: limits and formats against stand-ins that count by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.brand import Channel
from features.catalogue import Action, Item, Link, Media, Rendering, Reply, Template
from features.message_limits import over_limits
from features.messages import RenderedMessage
from features.rendering import render
from serving.formats import formatted
from serving.joining.stamping import stamp
from serving.joining.tokens import TokenMint
from tests.serving.provider_rules import RefusedError, line_accepts, whatsapp_accepts
from tests.serving.test_formats import GIVEN, MESSAGES
from tests.serving.tiny_world import a_brand, an_action

MINT = TokenMint(b"a secret of sixteen letters or more")
WIDE: dict[str, Any] = {"body_limit": 10_000, "buttons_limit": 40, "button_label_limit": 60}
WHATSAPP = Channel(kind="chat", consent="session", session_window_hours=24, format="whatsapp", **WIDE)
LINE = Channel(kind="chat", consent="session", format="line", **WIDE)
BRAND = a_brand(channels={"whatsapp": WHATSAPP, "line": LINE})

letters = st.text(alphabet="aé ก็ां😀\n", min_size=1, max_size=30).filter(str.strip)
words = st.one_of(letters, letters.map(lambda text: text * 40), letters.map(lambda text: text * 170))
titles = st.one_of(letters, letters.map(lambda text: text * 170))
urls = st.builds(lambda path: f"https://shop.example/{path}", st.text(alphabet="a/?=&%", max_size=30))
long_urls = st.one_of(urls, urls.map(lambda url: url + "x" * 900))
replies = st.lists(
    st.one_of(letters, st.builds(Reply, text=letters, trait=st.just("need"), value=st.just("dry"))), max_size=15
).map(tuple)
items = st.lists(
    st.builds(Item, title=titles, url=long_urls, image=st.none() | urls, price=st.just("") | letters), max_size=14
).map(tuple)
renderings = st.builds(
    Rendering,
    hook=st.just("") | letters,
    body=words,
    media=st.none() | st.builds(Media, url=urls, kind=st.sampled_from(["image", "video", "audio"]), alt=letters),
    link=st.none() | st.builds(Link, url=long_urls, label=letters),
    suggested_replies=replies,
    items=st.just(()) | items,
)
templates = st.builds(
    Template,
    name=st.sampled_from(["first_v1", "First", "x" * 600]),
    language=st.sampled_from(["en", "en_US", "en-US"]),
    category=st.just("marketing"),
    parameters=st.lists(words | st.just(""), max_size=2).map(tuple),
    header=st.sampled_from([None, "media"]),
    buttons=st.sampled_from([None, "replies"]),
)


def rendered(action: Action, channel: str, *, templated: bool = False) -> RenderedMessage | None:
    message = render(action, brand=BRAND, locale="en", slots={}, channel=channel, templated=templated)
    return message if isinstance(message, RenderedMessage) else None


def said(message: RenderedMessage, format_: str) -> dict[str, Any]:
    stamped = stamp(
        message,
        decision_id="01JD3Z4A5B6C7D8E9FGHJKMNPQ",
        slot=0,
        mint=MINT,
        public_url="https://rapport.shop.example",
    )
    return formatted(stamped, format=format_)


def accept(message: RenderedMessage, provider: str) -> None:
    if provider == "whatsapp":
        whatsapp_accepts(said(message, "whatsapp") | {"to": "66812345678"})
    else:
        line_accepts(said(message, "line") | {"to": "U1"})


@pytest.mark.parametrize("provider", ["whatsapp", "line"])
@given(rendering=renderings)
def test_what_can_be_said_is_taken(provider: str, rendering: Rendering) -> None:
    if message := rendered(an_action("a", renderings={"en": rendering}), provider):
        accept(message, provider)


@given(template=templates, rendering=renderings)
def test_an_approved_template_that_can_be_said_is_taken(template: Template, rendering: Rendering) -> None:
    action = an_action("a", renderings={"en": rendering}, templates={"en": template})
    if message := rendered(action, "whatsapp", templated=True):
        assert message.template is not None
        accept(message, "whatsapp")


@pytest.mark.parametrize("provider", ["whatsapp", "line"])
def test_the_goldens_are_taken(provider: str) -> None:
    for name in GIVEN[provider]:
        accept(MESSAGES[name], provider)


@pytest.mark.parametrize("provider", ["whatsapp", "line"])
def test_a_button_s_value_is_no_longer_than_comes_back_whole(provider: str) -> None:
    def says(value: str) -> RenderedMessage | None:
        reply = Reply(text="Yes", trait="need", value=value)
        body = Rendering(body="b", suggested_replies=(reply,))
        return rendered(an_action("a", renderings={"en": body}), provider)

    at_most = max(n for n in range(250) if says("v" * n) is not None)
    message = says("v" * at_most)
    assert message is not None
    token = MINT.token("d" * 64 + ".50", 49, f'answer:["need","{"v" * at_most}"]')
    assert len(token) <= (256 if provider == "whatsapp" else 300) < len(token) + 3
    assert says("v" * 250) is None


LARGE = Item(title="ช" * 5_000, url="https://x.example")
MANY = tuple(Item(title="t" * 5_000, url=f"https://x.example/{number}") for number in range(11))
TOO_MUCH: list[Any] = [
    ("whatsapp", {"body": "b" * 4097}),
    ("whatsapp", {"body": "b" * 1025, "suggested_replies": ("Yes",)}),
    ("whatsapp", {"body": "b", "suggested_replies": ("A label of 22 letters!",)}),
    ("whatsapp", {"body": "b", "suggested_replies": ("Yes", "Yes")}),
    ("whatsapp", {"body": "b", "suggested_replies": tuple("abcdefghijk")}),
    ("whatsapp", {"body": "b", "link": Link(url="https://x.example", label="A label of 22 letters!")}),
    ("line", {"body": "😀" * 2501}),
    ("line", {"body": "b", "suggested_replies": tuple("abcdefghijklmn")}),
    ("line", {"body": "b", "items": tuple(Item(title="t", url="https://x.example") for _ in range(12))}),
    ("line", {"body": "b", "link": Link(url="https://x.example/" + "x" * 990, label="Go")}),
    ("line", {"body": "b", "media": Media(url="http://x.example/a.png", alt="a")}),
    pytest.param("line", {"body": "b", "items": (LARGE,)}, id="a card of more than 30 KB"),
    pytest.param("line", {"body": "b", "items": MANY}, id="a carousel of more than 50 KB"),
]


@pytest.mark.parametrize(("provider", "parts"), TOO_MUCH, ids=str)
def test_what_the_provider_refuses_cannot_be_said(provider: str, parts: dict[str, Any]) -> None:
    """Both ways: the limit refuses it, and without the limit the provider does."""
    action = an_action("a", renderings={"en": Rendering(**parts)})
    assert rendered(action, provider) is None
    open_brand = a_brand(channels={provider: Channel(kind="chat", consent="session", **WIDE)})
    message = render(action, brand=open_brand, locale="en", slots={}, channel=provider)
    assert isinstance(message, RenderedMessage)
    with pytest.raises(RefusedError):
        accept(message, provider)


def test_a_templates_parameter_that_whatsapp_refuses_cannot_be_said() -> None:
    def says(parameter: str) -> RenderedMessage | None:
        template = Template(name="t_v1", language="en", category="marketing", parameters=(parameter,))
        action = an_action("a", renderings={"en": Rendering(body="b")}, templates={"en": template})
        return rendered(action, "whatsapp", templated=True)

    longest = says("p" * 1_024)
    assert longest is not None
    accept(longest, "whatsapp")
    assert says("p" * 1_025) is None


def test_a_thai_label_is_as_long_as_it_reads_on_line() -> None:
    label = "กี่วันถึงจะเห็นผลคะ ที่นี่"  # 26 code points, of which 9 stand above or below another
    message = rendered(an_action("a", renderings={"en": Rendering(body="b", suggested_replies=(label,))}), "line")
    assert len(label) > 20
    assert message is not None
    assert (
        rendered(an_action("a", renderings={"en": Rendering(body="b", suggested_replies=(label,))}), "whatsapp") is None
    )


def test_a_channel_without_a_format_has_its_own_limits_only() -> None:
    message = rendered(an_action("a"), "line")
    assert message is not None
    assert list(over_limits(message, Channel(kind="web", consent="session", **WIDE))) == []
