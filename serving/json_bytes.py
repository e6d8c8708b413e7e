"""A decision's answer as bytes of JSON, in a tenth of the time that the standard library takes.

Invariant: every number in it is finite (`answers` sees to it), since `msgspec` writes NaN as null without a word.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_FAST = msgspec.json.Encoder()
_THOROUGH = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def answer_bytes(told: dict[str, Any]) -> bytes:
    """The bytes of an answer; a lone surrogate, which UTF-8 does not have, as JSON's own escape of it.

    Raises:
        TypeError: something in it is no JSON type.
    """
    try:
        return _FAST.encode(told)
    except (TypeError, UnicodeEncodeError):  # a subclass of a JSON type, or half a sign
        return _THOROUGH.encode(told).encode(errors="backslashreplace")
