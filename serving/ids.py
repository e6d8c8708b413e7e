"""New ids that sort by their instant: ULIDs, made in a few microseconds."""

from __future__ import annotations

import os
from datetime import datetime

from serving.ledger_rows import microseconds

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)
_SHIFTS = tuple(range(120, -1, -10))


def new_ulid(at: datetime) -> str:
    """A new id that sorts by its instant, to a millisecond: 48 bits of it, then 80 random ones.

    References:
        The ULID specification, https://github.com/ulid/spec.
    """
    number = (microseconds(at) // 1_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[number >> shift & 1_023] for shift in _SHIFTS])
