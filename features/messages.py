"""A message as a customer reads it, and its coupon code, which is known only once its decision is reserved."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

COUPON_CODE = "coupon_code"  # what a text calls the code that its decision gives out
LONGEST_COUPON_CODE = 32
# Stands where the code will: as long as a code may be, so that limits hold, and made of what a URL takes as it is.
COUPON_STAND_IN = "RAPPORT7COUPON7CODE7STANDS7HERE7"

_ADDRESSES = ("url", "image")


class RenderedMessage(msgspec.Struct, frozen=True):
    """What a customer reads, in the locale that was really used. A struct, since each decision makes one.

    Attributes:
        locale: the locale of the texts: where it is not the asked one, this says so.
        hook: the first line; may be empty.
        body: the text.
        media: url, kind and alt, or None.
        link: url and label, or None.
        suggested_replies: labels of the buttons, none where the channel shows none.
        template: name, language, category and parameters of the approved template, where the channel needs one; and
            header and buttons, where it was approved with them.
        replies: the same buttons with what each says by itself: text, and where given trait and value, or refuses
            (not_now or never); and payload, once it is stamped with the token of its decision.
        items: shoppable things, each with title and url, and where given product_id, image and price as it is written.
        subject: of an e-mail; where the rendering has none of its own, the first line of its hook, else of its body.
        open_url, unsubscribe_url: of this server, once it is stamped and customers can reach it: the picture that says
            that an e-mail was opened, and where a customer leaves the channel. Empty before.
    """

    locale: str
    hook: str
    body: str
    media: dict[str, str] | None
    link: dict[str, str] | None
    suggested_replies: tuple[str, ...]
    template: dict[str, Any] | None
    replies: tuple[dict[str, Any], ...] = ()
    items: tuple[dict[str, str], ...] = ()
    subject: str = ""
    open_url: str = ""
    unsubscribe_url: str = ""

    @property
    def text(self) -> str:
        """Hook and body as one text, as chat channels send it; what a body limit counts."""
        return f"{self.hook}\n\n{self.body}" if self.hook else self.body

    def as_dict(self) -> dict[str, Any]:
        """The message as JSON-ready keys and values."""
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        return told | {name: list(told[name]) for name in ("suggested_replies", "replies", "items")}


def with_coupon(message: RenderedMessage, code: str) -> RenderedMessage:
    """The message with the decision's own coupon code in every place where its texts name one."""

    def coded(part: Any, *, name: str = "") -> Any:
        if isinstance(part, str):
            return part.replace(COUPON_STAND_IN, quote(code, safe="") if name in _ADDRESSES else code)
        if isinstance(part, dict):
            return {key: coded(value, name=key) for key, value in part.items()}
        return type(part)(map(coded, part)) if isinstance(part, list | tuple) else part

    written = {name: coded(getattr(message, name)) for name in RenderedMessage.__struct_fields__}
    return replace(message, **written)
