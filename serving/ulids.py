"""Ids that sort as they were made (ULID), by arithmetic: their library takes thirty calls for one."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from functools import lru_cache

from serving.ledger_rows import microseconds

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_BITS_OF_A_PAIR, _RANDOM_BITS = 10, 80


class _Numbers:
    """The numbers of one process's ids: those of one millisecond follow each other."""

    def __init__(self) -> None:
        self._last = 0
        self._one_at_a_time = threading.Lock()

    def next(self, instant: int) -> int:
        """The number of one more id of that millisecond."""
        with self._one_at_a_time:
            if self._last >> _RANDOM_BITS == instant and (self._last + 1) >> _RANDOM_BITS == instant:
                self._last += 1
            else:
                self._last = instant << _RANDOM_BITS | int.from_bytes(os.urandom(_RANDOM_BITS // 8))
            return self._last


_numbers = _Numbers()


def new_ulid(at: datetime) -> str:
    """A new id that sorts by its instant: milliseconds in 48 bits, then 80 random ones.

    Of one millisecond and one process they sort as they were made, as rows are written and a request's places stand.

    References:
        https://github.com/ulid/spec
    """
    number = _numbers.next(microseconds(at) // 1_000)
    return _spelled(number >> _BITS_OF_A_PAIR) + _PAIRS[number & 1_023]


@lru_cache(maxsize=16)  # those of one millisecond follow each other
def _spelled(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1_023] for shift in range(11 * _BITS_OF_A_PAIR, -1, -_BITS_OF_A_PAIR)])
