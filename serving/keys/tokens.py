"""What a key looks like, and how a request presents one.

`rapport_<key id>_<secret>`: the id is no secret and finds the row; of the whole only a SHA-256 is kept. The secret is
192 random bits, so a slow hash would protect nothing and cost every request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"  # none that is taken for another
_ID_LENGTH = 8
_SECRET_BYTES = 24
_LONGEST_HEADER = 1_024
_SHAPE = re.compile(r"^rapport_([a-z0-9]{8})_[0-9a-f]{48}$")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A key's token in the clear: shown once, kept nowhere."""

    key_id: str
    token: str


def new_token() -> NewToken:
    """A token that nobody has."""
    key_id = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))
    return NewToken(key_id, f"rapport_{key_id}_{secrets.token_hex(_SECRET_BYTES)}")


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def key_id_of(token: str) -> str | None:
    """The id within a token; None where it does not look like one of ours."""
    found = _SHAPE.match(token)
    return found[1] if found else None


def presented_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """What a request presents as its key: `Bearer <key>`, or the user of `Basic`, as Segment's clients send it.

    Returns:
        None where there is no such header; '' where there is one that holds nothing that could be a key.
    """
    for name, value in headers:
        if name == b"authorization":
            return _token_in(value) if len(value) <= _LONGEST_HEADER else ""
    return None


def _token_in(header: bytes) -> str:
    scheme, _, said = header.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return said.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(said.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    return ""
