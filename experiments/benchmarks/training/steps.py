"""Where the time of a job goes: functions are wrapped, and each has the time that no other of them inside it had.

What goes on beside them, on threads of its own, counts to the step beside which it goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any


class Steps:
    """Seconds of CPU by step, of all threads of this process; exclusive, so that they add up to the whole."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stack: list[str] = []
        self._since = 0.0
        self._thread = threading.current_thread()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What runs inside belongs to this step, unless an inner one takes it."""
        self._turn()
        self._stack.append(name)
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def _turn(self) -> None:
        now = time.process_time()
        if self._stack:
            name = self._stack[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def watching(self, places: Mapping[str, Sequence[str]]) -> Iterator[None]:
        """Wraps functions and methods, given as `module:name` or `module:Class.name` by step, and unwraps them again.

        A function that another module imported by name is wrapped where it is looked up: name it there.
        """
        undo: list[tuple[Any, str, Any]] = []
        try:
            for name, found in ((name, place) for name, of in places.items() for place in of):
                module, _, path = found.partition(":")
                owner: Any = import_module(module)
                *classes, attribute = path.split(".")
                for one in classes:
                    owner = getattr(owner, one)
                undo.append((owner, attribute, getattr(owner, attribute)))
                setattr(owner, attribute, self._wrapped(getattr(owner, attribute), name))
            yield
        finally:
            for owner, attribute, before in undo[::-1]:
                setattr(owner, attribute, before)

    def _wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is not self._thread:
                return function(*args, **kwargs)
            with self.step(name):
                return function(*args, **kwargs)

        return timed
