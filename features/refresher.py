"""Keeps the online rows of customers with new events fresh, beside the decisions.

One thread a process recomputes rows in batches, since planning costs far more than a row: first those for which a
decision waits, all together; then, when none does, those that were merely touched. Correctness never rests on it: what
it has not reached, a decision notices (`OnlineFeatures.is_behind`) and asks for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime

from features.online import OnlineFeatures, Recomputed
from features.packing import CustomerState, Missing

GATHERED_SECONDS = 0.005  # the calls of one page come together; a decision that comes sooner does not wait
AT_REST_FOR_EACH_AT_WORK = 4.0  # seconds of rest a second of background work: a fifth of one core at most
MOST_AT_ONCE = 100
MOST_TOUCHED = 200_000  # beyond it the oldest are forgotten: their next decision recomputes them
NOT_RECOMPUTED = "not_recomputed"

State = CustomerState | Missing
_LOGGER = logging.getLogger("rapport.refresher")


class Refresher:
    """Recomputes rows in a thread that starts with the first work and ends with `close`.

    Args:
        online: whose rows; it stays its owner's to close.
        clock: what time it is, UTC.
    """

    def __init__(self, online: OnlineFeatures, *, clock: Callable[[], datetime]) -> None:
        self._online = online
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[tuple[int, ...], list[Future[State]]] = {}
        self._touched: OrderedDict[int, None] = OrderedDict()
        self._is_busy = self._is_closed = False
        self._rests_until = 0.0
        self._thread: threading.Thread | None = None

    def touched(self, customer_keys: Iterable[int]) -> None:
        """Customers have new events in the log; returns at once, from any thread."""
        with self._changed:
            if not self._touched:
                self._rests_until = max(self._rests_until, time.monotonic() + GATHERED_SECONDS)
            self._touched.update((int(key), None) for key in customer_keys)
            while len(self._touched) > MOST_TOUCHED:
                self._touched.popitem(last=False)
            self._wake()

    def current(self, keys: Sequence[int]) -> Future[State]:
        """The row of one person, recomputed now, before anything that was merely touched.

        Args:
            keys: every key of the person, the one that stands for them first.
        """
        future: Future[State] = Future()
        with self._changed:
            if self._is_closed:
                future.set_result(Missing(NOT_RECOMPUTED))
                return future
            self._waiting.setdefault(tuple(keys), []).append(future)
            self._wake()
        return future

    async def current_soon(self, keys: Sequence[int]) -> State:
        """As `current`, for an event loop."""
        return await asyncio.wrap_future(self.current(keys))

    def settle(self) -> None:
        """Returns once nothing waits any more: for tests, and for whoever measures."""
        with self._changed:
            self._rests_until = 0.0
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._waiting or self._touched or self._is_busy) or self._is_closed)

    def close(self) -> None:
        """Ends the thread after the batch in hand; what was merely touched is left for the next decision."""
        with self._changed:
            self._is_closed = True
            self._touched.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._refresh_for_ever, name="rapport-refresher", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _refresh_for_ever(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                while not self._waiting and not self._is_closed and (rest := self._rest()) > 0:
                    self._changed.wait(None if rest == float("inf") else rest)
                if self._is_closed and not self._waiting:
                    return
                self._is_busy = True
                waiting, self._waiting = self._waiting, {}
                touched = [] if waiting else self._next_touched()
            if waiting:
                self._serve(waiting)
            else:
                self._catch_up(touched)

    def _rest(self) -> float:
        """Seconds until the touched may be worked on; for ever where there are none."""
        return self._rests_until - time.monotonic() if self._touched else float("inf")

    def _next_touched(self) -> list[int]:
        return [self._touched.popitem(last=False)[0] for _ in range(min(MOST_AT_ONCE, len(self._touched)))]

    def _serve(self, waiting: dict[tuple[int, ...], list[Future[State]]]) -> None:
        for keys, state in self._current(list(waiting)).items():  # made meanwhile, in the batch before
            _settle(waiting.pop(keys), state)
        people = list(waiting)
        for start in range(0, len(people), MOST_AT_ONCE):
            batch = people[start : start + MOST_AT_ONCE]
            made = self._recomputed(batch)
            for keys in batch:
                _settle(waiting[keys], made.states.get(keys[0], Missing(NOT_RECOMPUTED)))
            self._write(made)

    def _catch_up(self, customers: Sequence[int]) -> None:
        started = time.monotonic()
        try:
            people = self._online.people_of(customers)
        except Exception:
            _LOGGER.exception("Could not tell who was touched; their next decisions will.")
            people = []
        current = self._current(people)
        if behind := [keys for keys in people if keys not in current]:
            self._write(self._recomputed(behind))
        now = time.monotonic()
        with self._changed:
            self._rests_until = now + (now - started) * AT_REST_FOR_EACH_AT_WORK

    def _current(self, people: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], State]:
        try:
            return self._online.current_among(people)
        except Exception:
            _LOGGER.exception("Could not read online rows; they are recomputed.")
            return {}

    def _recomputed(self, people: Sequence[tuple[int, ...]]) -> Recomputed:
        """Their rows; one person whose row cannot be made takes nobody else's with it."""
        try:
            return self._online.recompute(people, at=self._clock())
        except Exception:
            if len(people) == 1:
                _LOGGER.exception("Could not recompute the online row of customer_key %s.", people[0][0])
                return Recomputed({}, ())
            middle = len(people) // 2
            one, other = self._recomputed(people[:middle]), self._recomputed(people[middle:])
            return Recomputed(one.states | other.states, one.rows + other.rows)

    def _write(self, made: Recomputed) -> None:
        try:
            self._online.write(made)
        except Exception:
            _LOGGER.exception("Could not write %d online rows; their next decisions recompute them.", len(made.rows))


def _settle(futures: Sequence[Future[State]], state: State) -> None:
    for future in futures:
        if future.set_running_or_notify_cancel():  # else whoever asked has gone away
            future.set_result(state)
