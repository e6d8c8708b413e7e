"""Where the time of a decision goes: each step without those inside it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Step = tuple[object, str, str]  # whose function, its name, what it is called in the table


class Spent:
    """Milliseconds by step, added up over all calls in every thread, until it is cleared.

    Args:
        clock: seconds; of a wall clock or of the thread that asks.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.milliseconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._here = threading.local()  # what the steps inside the one in hand took, of each thread

    def timed(self, title: str, of: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with what it takes noted under a title."""

        def step(*arguments: Any, **named: Any) -> Any:
            before, self._here.inside = getattr(self._here, "inside", 0.0), 0.0
            started = self._clock()
            try:
                return of(*arguments, **named)
            finally:
                whole = (self._clock() - started) * 1e3
                self.milliseconds[title] += whole - self._here.inside
                self._here.inside = before + whole

        return step

    @contextmanager
    def noting(self, steps: Sequence[Step]) -> Iterator[None]:
        """While the block lasts, what each of these functions takes is noted."""
        with ExitStack() as patched:
            for place, name, title in steps:
                patched.enter_context(patch.object(place, name, self.timed(title, getattr(place, name))))
            yield


def print_steps(found: dict[str, float]) -> None:
    """A line a step, in milliseconds and as its share."""
    total = sum(found.values())
    for step, milliseconds in found.items():
        print(f"{step:46}  {milliseconds:8.3f} ms {milliseconds / total:6.0%}")
