"""A message as its provider takes it: the body to post, but for whom it goes to, which the sender adds.

Pure functions of the rendered, stamped message. That the provider takes it is not their work: a channel that names its
format in brand.yaml has the provider's limits (`features.message_limits`), so what passes them is never chosen.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

from features.brand import Brand, Channel
from features.messages import RenderedMessage
from serving.formats import line, mail, whatsapp

Format = Literal["whatsapp", "line", "email", "neutral", "channel"]
FORMATS: tuple[Format, ...] = get_args(Format)
NEUTRAL: Format = "neutral"
OF_THE_CHANNEL: Format = "channel"

_WRITERS = {"whatsapp": whatsapp.written, "line": line.written, "email": mail.written}


def formatted(message: RenderedMessage, *, format: str) -> dict[str, Any]:
    """The message in a provider's words.

    Args:
        message: rendered, with its coupon code, and stamped with the token of its decision.
        format: `whatsapp`: a body for the Cloud API's /messages, without `to`. `line`: a body for the Messaging API's
            /message/push or /reply, without `to` or `replyToken`. `email`: subject, text, html, headers, and all of it
            as one MIME text without From and To. `neutral`: every part of the message by its own name.
    """
    return message.as_dict() if format == NEUTRAL else _WRITERS[format](message)


def format_on(channel: Channel, *, asked: Format) -> Format:
    """Which format is given there: the asked one, or where the channel's own was asked for, what it names, if any."""
    return asked if asked != OF_THE_CHANNEL else channel.format or NEUTRAL


def why_not_format(format: str, *, channels: Collection[str], brand: Brand) -> str | None:
    """What is wrong with asking for that format on those channels of the brand; None where it can be given."""
    if format in (NEUTRAL, OF_THE_CHANNEL):
        return None
    if format not in _WRITERS:
        return f"'{format}' is no format. The formats are: {', '.join(FORMATS)}."
    strange = [name for name in channels if brand.channels[name].format != format]
    if not strange:
        return None
    said = brand.channels[strange[0]].format
    now = f"names the format '{said}'" if said else "names no format"
    right = said or NEUTRAL if len(channels) == 1 else f"{OF_THE_CHANNEL}, which is that of whichever is taken"
    return (
        f"'{format}' is not the format of channel '{strange[0]}', which {now} in brand.yaml. Ask for "
        f"{right}; or write 'format: {format}' there, and messages are held to that provider's limits."
    )
