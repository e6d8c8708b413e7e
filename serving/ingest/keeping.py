"""How many dead letters are kept, and when it is time to look: a flood of them must not fill the disk."""

from __future__ import annotations

from typing import NamedTuple

from serving.ingest.instants import DAY_US, SECOND_US

LOOKED_AFTER = 1_000  # letters; so a process lets at most so many more stand for a while
LOOKED_EVERY_US = 3_600 * SECOND_US


class Kept(NamedTuple):
    """The newest so many letters, each for so long; the oldest go first."""

    most: int = 100_000
    past_us: int = 90 * DAY_US


class Looks:
    """Says when this process is to look for letters that are not kept any more."""

    def __init__(self) -> None:
        self._n_letters = 0
        self._next_us: int | None = None

    def is_due(self, n_letters: int, *, now_us: int) -> bool:
        """Whether it is time, with so many letters more; a process looks with the first request that it takes."""
        self._n_letters += n_letters
        if self._next_us is not None and self._n_letters < LOOKED_AFTER and now_us < self._next_us:
            return False
        self._n_letters, self._next_us = 0, now_us + LOOKED_EVERY_US
        return True
