"""Signed tokens: what a button, a link or a picture says of the decision that showed it.

Design. A token is one byte of form, one of slot, the decision's id (a ULID in its 16 bytes, another as text), what it
is the token of, then 10 bytes of keyed BLAKE2b over all of that; in URL-safe base64 without padding, so that chat
providers' payloads and URLs take it as it is. It is signed and not encrypted: it names no customer. It does not end: an
outcome that comes late is kept and flagged. A guess is right once in 2^80.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from ulid import ULID

from features.faults import CallersMistake
from features.message_limits import LONGEST_TOKEN, answer_of

__all__ = ["LONGEST_TOKEN", "Said", "TokenMint", "answer_of", "looks_made", "open_mint"]

KEY_FILE = "token.key"
SHORTEST_SECRET = 16  # characters
_N_SIGNED = 10
_MARKS_KEPT = 1_024
_N_OF_A_MARK = 6  # a multiple of three, so that base64 needs no padding
_WITH_ULID, _WITH_TEXT = 1, 2
_FOR_URLS = bytes.maketrans(b"+/", b"-_")
_SHORTEST_SPOILT = 20  # characters: what is shorter is somebody's own word
_IN_URLS = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SLOTS = 64
_BEGINNINGS = frozenset(
    base64.urlsafe_b64encode(bytes((_WITH_ULID, slot, 1))).decode().casefold() for slot in range(_SLOTS)
)
_DIGITS = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "abcdefghijklmnopqrstuv")  # Crockford's to those of int(…, 32)

LINK = "link"
ITEM = "item"
REPLY = "reply"
REFUSES = "refuses"
ANSWER = "answer"
OPEN = "open"
UNSUBSCRIBE = "unsubscribe"
COUPON = "coupon"
_OUTCOMES = {
    LINK: "clicked",
    ITEM: "clicked",
    REPLY: "replied",
    ANSWER: "replied",
    REFUSES: "refused",
    OPEN: "opened",
    UNSUBSCRIBE: "unsubscribed",
    COUPON: "redeemed",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a token says.

    Attributes:
        decision_id: of the decision that showed it.
        slot: of the decision's list, from 0.
        what: `link`, `item:2`, `reply:0`, `refuses:not_now`, `answer:["need","dry"]`, `open`, `unsubscribe`, `coupon`.
            That of a link through our redirect ends with the mark of its host: `link:q1w2e3r4`, `item:2:q1w2e3r4`.
    """

    decision_id: str
    slot: int
    what: str

    @property
    def kind(self) -> str:
        """Of what it is the token."""
        return self.what.partition(":")[0]

    @property
    def detail(self) -> str:
        """What stands behind the colon; empty where there is none."""
        return self.what.partition(":")[2]

    @property
    def host_mark(self) -> str | None:
        """The mark of the host that its link was sent with; None of what is no such link."""
        mark = self.what.rpartition(":")[2]
        return mark if self.kind in (LINK, ITEM) and len(mark) == _N_OF_A_MARK * 4 // 3 else None

    @property
    def outcome(self) -> str:
        """What has happened where nobody says more than that it came back."""
        return _OUTCOMES.get(self.kind, "clicked")

    @property
    def reason(self) -> str | None:
        """Of a refusal: not_now or never."""
        return self.detail if self.kind == REFUSES else None

    @property
    def answer(self) -> tuple[str, str | float | bool] | None:
        """The trait that its button declares, with the value; None where it declares nothing."""
        if self.kind != ANSWER:
            return None
        trait, value = json.loads(self.detail)
        return trait, value


class TokenMint:
    """Makes tokens and reads them back; pure, and cheap enough for every button of every decision.

    Args:
        secret: whoever holds it can make tokens; at least 16 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"rapport-token").digest()
        self._unsigned = blake2b(digest_size=_N_SIGNED, key=self._key)
        self._marks: dict[str, str] = {}

    def token(self, decision_id: str, slot: int, what: str) -> str:
        """A token of one thing that a decision showed; the same thing has the same token."""
        return self.tokens(decision_id, slot, (what.encode(),))[0]

    def tokens(self, decision_id: str, slot: int, whats: Sequence[bytes]) -> list[str]:
        """The tokens of several things that a decision showed, in their order."""
        form, identified = _identified(decision_id)
        begins, made = bytes((form, slot)) + identified, list[str]()
        for what in whats:
            signed = begins + what
            signature = self._unsigned.copy()  # keyed once: half of what making it anew takes
            signature.update(signed)
            spelled = binascii.b2a_base64(signed + signature.digest(), newline=False)
            made.append(spelled.translate(_FOR_URLS, b"=").decode())
        return made

    def read(self, token: str) -> Said | None:
        """What a token says; None where it was not made with this secret."""
        if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        signed, signature = raw[:-_N_SIGNED], raw[-_N_SIGNED:]
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None
        if signed[0] == _WITH_ULID:
            decision_id, rest = str(ULID.from_bytes(signed[2:18])), signed[18:]
        else:
            end = 3 + signed[2]
            decision_id, rest = signed[3:end].decode(), signed[end:]
        said = Said(decision_id, signed[1], rest.decode())
        return said if self.token(said.decision_id, said.slot, said.what) == token else None  # one spelling a token

    def mark_of(self, host: str) -> str:
        """A host in eight characters, which nobody without the secret can find another host for."""
        mark = self._marks.get(host)
        if mark is None:
            raw = blake2b(host.encode(), digest_size=_N_OF_A_MARK, key=self._key, person=b"rapport-host").digest()
            mark = base64.urlsafe_b64encode(raw).decode()
            if len(self._marks) < _MARKS_KEPT:  # hosts of a catalogue; what comes from outside must not fill memory
                self._marks[host] = mark
        return mark

    def _signature(self, signed: bytes) -> bytes:
        signature = self._unsigned.copy()
        signature.update(signed)
        return signature.digest()


def open_mint(state: Path, *, secret: str | None = None) -> TokenMint:
    """The mint of a workspace: of the secret that is given, else of the one in its folder, which is made once.

    Args:
        state: the workspace's folder of databases.
        secret: $RAPPORT_TOKEN_SECRET, where it is set.

    Raises:
        CallersMistake: the secret is too short to keep anybody from guessing it.
    """
    if secret is not None:
        if len(secret) < SHORTEST_SECRET:
            raise CallersMistake(
                f"RAPPORT_TOKEN_SECRET has {len(secret)} characters: a secret has {SHORTEST_SECRET} at least, or it "
                "can be guessed. Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
            )
        return TokenMint(secret.encode())
    file = state / KEY_FILE
    with contextlib.suppress(FileExistsError):
        _make_key(file)
    kept = file.read_bytes()
    if len(kept) < SHORTEST_SECRET:
        raise CallersMistake(
            f"{file} holds {len(kept)} bytes: a secret has {SHORTEST_SECRET} at least. Put back the file that was "
            "there, or remove it: then a new one is made, and the tokens of messages already sent are not known."
        )
    return TokenMint(kept)


def _make_key(file: Path) -> None:
    """Whole or not at all: two workers that start together read the same key.

    Raises:
        FileExistsError: there is one.
    """
    if file.exists():
        raise FileExistsError(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(secrets.token_urlsafe(32).encode())
            written.flush()
            os.fsync(written.fileno())
        os.link(draft, file)
    finally:
        draft.unlink()


def looks_made(token: str) -> bool:
    """Whether something that is no token of ours was most likely one: cut short, changed, or of another secret.

    It begins as they do, whatever became of its capitals: with a form, a slot of a short list and the first byte of a
    ULID's time, which stays the same from 2005 to 2039; or with a form, a slot and an id of the caller's that is whole.
    """
    text = token.rstrip("=")  # ours are not padded; what a bot makes of them, and its own payloads, may be
    if not _SHORTEST_SPOILT <= len(text) <= LONGEST_TOKEN or _IN_URLS.fullmatch(text) is None:
        return False
    if text[:4].casefold() in _BEGINNINGS:
        return True
    raw = base64.urlsafe_b64decode(text[: len(text) // 4 * 4])
    if raw[0] != _WITH_TEXT or raw[1] >= _SLOTS or not 0 < raw[2] <= len(raw) - 3:
        return False
    return raw[3 : 3 + raw[2]].decode("latin-1").isprintable()


@lru_cache(maxsize=1_024)  # a decision shows several things
def _identified(decision_id: str) -> tuple[int, bytes]:
    """The form and the bytes of an id; a ULID by arithmetic, which costs a tenth of its library's reading."""
    if _ULID.fullmatch(decision_id):
        return _WITH_ULID, int(decision_id.translate(_DIGITS), 32).to_bytes(16)
    told = decision_id.encode()
    return _WITH_TEXT, bytes((len(told),)) + told
