"""The body of a campaign as it arrives: its question first, then its customers, one after the other.

NDJSON is read line by line and need never be held whole; one JSON object is read to its end before it is looked at. The
body is taken from the caller as fast as it comes, whatever is decided meanwhile: a caller who sends everything before
they read anything would wait for us for ever, and we for them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from serving.campaigns.asking import CUSTOMERS_IN_ONE_CAMPAIGN, OF_ONE_CUSTOMER
from serving.refusals import RequestRefused, WrongField, shown

PATH = "/v1/decisions/batch"
LONGEST_LINE = 64_000
BODY_BYTES = 64_000_000
"""Of a whole campaign: 100,000 customers of 640 bytes each."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why the rest of the customers cannot be read."""

    fault: WrongField


@dataclass(frozen=True, slots=True)
class NotJson:
    """A line that is not JSON."""

    number: int


Customer = object
"""As JSON gave it: a text or an object, if the caller sent what they should."""
_END = object()  # nothing that JSON gives, where `null` is read as None


class Body:
    """What a caller sends, as lines.

    Args:
        chunks: of the body, as they arrive.
        is_lines: NDJSON; else one JSON object.

    Attributes:
        is_read: nothing more of it is waited for.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, is_lines: bool) -> None:
        self._lines = _lines(chunks)
        self._chunks = chunks
        self._is_lines = is_lines
        self._listed: list[Customer] = []
        self.is_read = False

    async def question(self) -> dict[str, Any]:
        """What is asked of all customers.

        Raises:
            RequestRefused: the body, or its first line, is not a JSON object, or names its customers wrongly.
        """
        if self._is_lines:
            first = await anext(self._lines, None)
            asked = _object(first or b"", what="The first line")
            if "customers" in asked:
                rule = "stands in a body of lines: name each customer on a line of its own, after the first."
                raise RequestRefused([WrongField("/customers", rule)])
            return asked
        asked = _object(b"".join([chunk async for chunk in self._chunks]), what="The body")
        listed = asked.pop("customers", None)
        if not isinstance(listed, list) or not 1 <= len(listed) <= CUSTOMERS_IN_ONE_CAMPAIGN:
            found = f"holds {len(listed):,}" if isinstance(listed, list) else "is missing, or is no list"
            rule = f"{found}; a campaign takes a list of 1 to {CUSTOMERS_IN_ONE_CAMPAIGN:,} customers."
            raise RequestRefused([WrongField("/customers", rule)])
        self._listed, self.is_read = listed, True
        return asked

    async def customers(self, *, at_most: int) -> AsyncIterator[list[Customer | Unread]]:
        """The customers in their order, as many at once as are there, up to so many."""
        if not self._is_lines:
            for start in range(0, len(self._listed), at_most):
                yield list(self._listed[start : start + at_most])
            return
        waiting: asyncio.Queue[Customer | Unread] = asyncio.Queue()
        taking = asyncio.create_task(self._take(waiting))
        try:
            is_over = False
            while not is_over:
                group = [await waiting.get()]
                while len(group) < at_most and not waiting.empty():
                    group.append(waiting.get_nowait())
                if is_over := group[-1] is _END:
                    group.pop()
                if group:
                    yield group
        finally:
            taking.cancel()

    async def _take(self, waiting: asyncio.Queue[Customer | Unread]) -> None:
        """Reads every line, and says what is wrong with the first one that cannot be read."""
        number = 1
        try:
            async for line in self._lines:
                number += 1
                if number - 1 > CUSTOMERS_IN_ONE_CAMPAIGN:
                    rule = f"A campaign takes {CUSTOMERS_IN_ONE_CAMPAIGN:,} customers. Send the rest in another one."
                    waiting.put_nowait(Unread(WrongField(f"/{number}", rule)))
                    return
                waiting.put_nowait(_read(line, number))
        except RequestRefused as refused:
            waiting.put_nowait(Unread(refused.faults[0]))
        except Exception as fault:  # the caller's connection, or the limit of the whole body
            waiting.put_nowait(Unread(WrongField(f"/{number}", f"The rest could not be read: {shown(fault)}")))
        finally:
            self.is_read = True
            waiting.put_nowait(_END)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a body that are not empty."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > LONGEST_LINE:
            raise RequestRefused([WrongField("", f"A line may hold {LONGEST_LINE:,} bytes; this one goes on.")])
    if rest.strip():
        yield rest


def _read(line: bytes, number: int) -> Customer:
    if len(line) > LONGEST_LINE:
        raise RequestRefused([WrongField(f"/{number}", f"A line may hold {LONGEST_LINE:,} bytes.")])
    try:
        read: Customer = json.loads(line)
    except (ValueError, RecursionError):
        return NotJson(number)
    return read


def _object(text: bytes, *, what: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestRefused([WrongField("", f"{what} is not JSON: {shown(error)}.")]) from None
    if not isinstance(read, dict):
        names = ", ".join(OF_ONE_CUSTOMER[:1])
        raise RequestRefused([WrongField("", f"{what} is no JSON object with a placement (and no {names}).")])
    return read
