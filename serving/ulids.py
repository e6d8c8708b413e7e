"""Ids that sort by their instant (ULID), by arithmetic: their library takes thirty calls for one."""

from __future__ import annotations

import os
from datetime import datetime

from serving.ledger_rows import microseconds

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_BITS_OF_A_PAIR, _RANDOM_BITS = 10, 80


def new_ulid(at: datetime) -> str:
    """A new id that sorts by its instant: milliseconds in 48 bits, then 80 random ones.

    References:
        https://github.com/ulid/spec
    """
    instant = microseconds(at) // 1_000
    number = instant << _RANDOM_BITS | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
    return "".join([_PAIRS[number >> shift & 1_023] for shift in range(12 * _BITS_OF_A_PAIR, -1, -_BITS_OF_A_PAIR)])
