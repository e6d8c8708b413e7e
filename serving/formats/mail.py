"""A message as an e-mail: subject, text, HTML, headers, and all of it as one MIME text.

References: RFC 2369 and RFC 8058 (List-Unsubscribe, one click).
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from typing import Any

from features.messages import RenderedMessage

_END = "\r\n"
_BREAK = re.compile(r"\r\n?|\n")  # as texts from elsewhere have it
_LINE = 69  # with "Subject: " 78 characters, as RFC 5322 asks for
_IN_A_WORD = 39  # bytes, of which base64 makes 52 characters: a line of encoded words has 76 at most
_STYLE = "font:16px/1.5 sans-serif;max-width:36em;margin:0 auto;padding:1em"
_BUTTON = "display:inline-block;padding:.6em 1.2em;border-radius:.4em;background:#222;color:#fff;text-decoration:none"


def written(message: RenderedMessage) -> dict[str, Any]:
    """The parts of the e-mail, for a provider that takes parts, and `mime`, for one that takes it whole.

    `mime` lacks From, To, Date and Message-ID, which are the sender's.
    """
    text, html, headers = _text(message), _html(message), _headers(message)
    mime = _mime(message.subject, text=text, html=html, headers=headers)
    return {"subject": message.subject, "text": text, "html": html, "headers": headers, "mime": mime}


def _headers(message: RenderedMessage) -> dict[str, str]:
    if not message.unsubscribe_url:
        return {}
    told = {"List-Unsubscribe": f"<{message.unsubscribe_url}>"}
    if message.unsubscribe_url.startswith("https://"):  # RFC 8058: one click over https only
        told["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return told


def _mime(subject: str, *, text: str, html: str, headers: dict[str, str]) -> str:
    """RFC 5322 and 2045 by hand: a campaign writes many, and Python's own would encode a long List-Unsubscribe.

    One message is one text, so the boundary is made of it.
    """
    boundary = "rapport-" + hashlib.sha256(f"{text}\0{html}".encode()).hexdigest()[:32]
    head = [
        f"Subject: {_subject(subject)}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
    ]
    parts = [_part("plain", text), _part("html", html)]
    return _END.join([*head, *(f"--{boundary}{_END}{part}" for part in parts), f"--{boundary}--", ""])


def _subject(subject: str) -> str:
    """The subject as RFC 2047 writes it: encoded words, of which none cuts a letter in two."""
    if subject.isascii() and "=?" not in subject and len(subject) <= _LINE:
        return subject
    words, word = [], b""
    for letter in subject:
        said = letter.encode()
        if len(word) + len(said) > _IN_A_WORD:
            words.append(word)
            word = b""
        word += said
    encoded = (f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in [*words, word])
    return f"{_END} ".join(encoded)


def _part(kind: str, text: str) -> str:
    encoded = base64.encodebytes(_BREAK.sub(_END, text).encode()).decode().replace("\n", _END)
    head = f'Content-Type: text/{kind}; charset="utf-8"{_END}Content-Transfer-Encoding: base64{_END}{_END}'
    return head + encoded


def _text(message: RenderedMessage) -> str:
    parts = [message.text]
    parts += ["\n".join(filter(None, (item["title"], item.get("price"), item["url"]))) for item in message.items]
    if message.link is not None:
        parts.append(f"{message.link['label']}: {message.link['url']}")
    return "\n\n".join(parts) + "\n"


def _html(message: RenderedMessage) -> str:
    parts = [f"<h1>{_words(message.hook)}</h1>"] if message.hook else []
    if message.media is not None:
        parts.append(_media(message.media))
    parts += [
        f"<p>{_words(paragraph)}</p>" for paragraph in _BREAK.sub("\n", message.body).split("\n\n") if paragraph.strip()
    ]
    parts += [_item(item) for item in message.items]
    if message.link is not None:
        label, url = _words(message.link["label"]), escape(message.link["url"])
        parts.append(f'<p><a href="{url}" style="{_BUTTON}">{label}</a></p>')
    if message.open_url:
        parts.append(f'<img src="{escape(message.open_url)}" width="1" height="1" alt="">')
    head = f'<meta charset="utf-8"><title>{escape(message.subject)}</title>'
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(message.locale)}"><head>{head}</head>\n'
        f'<body dir="auto" style="{_STYLE}">\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def _media(media: dict[str, str]) -> str:
    url, alt = escape(media["url"]), escape(media["alt"])
    if media["kind"] == "image":
        return f'<p><img src="{url}" alt="{alt}" style="max-width:100%"></p>'
    return f'<p><a href="{url}">{alt}</a></p>'  # mail readers play nothing


def _item(item: dict[str, str]) -> str:
    title, url = escape(item["title"]), escape(item["url"])
    picture = f'<img src="{escape(item["image"])}" alt="" width="160"><br>' if "image" in item else ""
    price = f"<br>{escape(item['price'])}" if "price" in item else ""
    return f'<p><a href="{url}">{picture}{title}</a>{price}</p>'


def _words(text: str) -> str:
    return _BREAK.sub("<br>\n", escape(text))
