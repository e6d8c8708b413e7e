"""The body of an ingest request as the calls in it; what is wrong with the request as a whole is refused here.

BodyRefused (HTTPException)      400 it is no gzip or no JSON, 413 it holds too much, 415 it is something else
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import msgspec
from starlette.exceptions import HTTPException

from serving.ingest.calls import UNREADABLE, Batch, Context, read_batch
from serving.ingest.instants import read_instant
from serving.refusals import RequestRefused, WrongField

# Segment's clients cut a batch once it has passed 500,000 bytes: so one event of 32 KB more may be in it, and what
# stands around the events.
LARGEST_BODY = 560_000
MOST_EVENTS = 2_500
JSON = "application/json"
_cut_out = msgspec.json.Decoder(msgspec.Raw).decode
GZIP = 16 + zlib.MAX_WBITS


class BodyRefused(HTTPException):
    """The body as a whole cannot be taken."""


class Calls(NamedTuple):
    """The calls of one request.

    Attributes:
        raws: each as its bytes.
        sent_us: when the request was sent, by the client's clock.
        context: for calls that have none of their own.
    """

    raws: Sequence[bytes | msgspec.Raw]
    sent_us: int | None = None
    context: Context | None = None


def inflated(body: bytes, *, encoding: str) -> bytes:
    """The body as it was before it was compressed.

    Raises:
        BodyRefused: it is no gzip, ends midway, or holds too much.
    """
    if encoding not in ("", "identity", "gzip"):
        raise BodyRefused(415, f"The body is encoded as '{encoding[:80]}'. Send it plain, or with gzip.")
    if encoding == "gzip":
        body = _gunzipped(body)
    if len(body) > LARGEST_BODY:
        raise _too_large()
    return body


def _gunzipped(body: bytes) -> bytes:
    inflating = zlib.decompressobj(GZIP)
    try:
        plain = inflating.decompress(body, LARGEST_BODY + 1)
    except zlib.error as fault:
        raise BodyRefused(400, f"The body is said to be gzip, but it is none: {fault}.") from None
    if len(plain) > LARGEST_BODY:
        raise _too_large()
    if not inflating.eof or inflating.unused_data:
        raise BodyRefused(400, "The body is said to be gzip, but it ends midway or goes on after its end.")
    return plain


def _too_large() -> BodyRefused:
    return BodyRefused(413, f"A request may hold {LARGEST_BODY:,} bytes once inflated. Send several.")


def one_call(body: bytes) -> Calls:
    """A request that is one call.

    Raises:
        BodyRefused: it is not JSON at all.
        RequestRefused: it is JSON, but no object.
    """
    try:
        raw = _cut_out(body)
    except UNREADABLE:
        raw = _strict(_parse_leniently(body))
    if bytes(memoryview(raw)[:1]) != b"{":
        raise RequestRefused([WrongField("", "is not a JSON object: one call is one object.")])
    return Calls([raw])


def many_calls(body: bytes) -> Calls:
    """A request that is a batch.

    Raises:
        BodyRefused: it is not JSON at all, or there are too many events in it.
        RequestRefused: it is JSON, but no object with a list `batch`.
    """
    try:
        batch = read_batch(body)
    except UNREADABLE:
        batch = _read_leniently(body)
    if len(batch.batch) > MOST_EVENTS:
        raise BodyRefused(413, f"There are {len(batch.batch):,} events in it; one batch takes {MOST_EVENTS:,}.")
    if not batch.batch:
        raise RequestRefused([WrongField("/batch", "is empty: there is nothing to take.")])
    sent_us = read_instant(batch.sentAt) if isinstance(batch.sentAt, str) else None
    return Calls(batch.batch, sent_us, _context(batch.context))


def _read_leniently(body: bytes) -> Batch:
    """A batch of which an event is no strict JSON: the others in it must not go with that one."""
    given = _parse_leniently(body)
    if not isinstance(given, dict):
        raise RequestRefused([WrongField("", "is not a JSON object: a batch is an object with a list 'batch'.")])
    events = given.get("batch")
    if not isinstance(events, list):
        raise RequestRefused([WrongField("/batch", "is missing or no list: it holds the events.")])
    return Batch([_strict(event) for event in events], given.get("sentAt"), given.get("context"))


def _parse_leniently(body: bytes) -> object:
    """What Python's json writes and no other reads: NaN and the infinite, which are no values here."""
    try:
        return json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as fault:
        why = "nested too deeply" if isinstance(fault, RecursionError) else f"{fault}"
        raise BodyRefused(400, f"The body is not JSON: {why}.") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if isfinite(number) else None


def _strict(event: object) -> msgspec.Raw:
    """As JSON that everybody reads; half a surrogate pair becomes a question mark."""
    return msgspec.Raw(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace"))


def _context(given: object) -> Context | None:
    if not isinstance(given, dict):
        return None
    return Context(**{name: given[name] for name in Context.__struct_fields__ if name in given})
