"""Groups one after the other: what comes while one is under way is the next one, and as large as can be had for little.

A group costs hardly more than one of half its size, and clients who were answered together ask again within a fraction
of what their answer took. Were the next group begun at once with whoever waits, those would come too late for it, be a
group of their own, and so on for ever: two halves that take turns, each waiting for the other. So a group is given a
moment for those who were just answered; where they stay away it is not given again for a while, and then for longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from serving.handing_over import GATHERED_AT_MOST, resolve

LONGEST_MOMENT_SECONDS = 0.004
_SHARE_OF_A_GROUP = 0.5  # of the time that the group before took
_MOST_MISSES = 6


class Awaited(Protocol):
    """Something that somebody waits for in an event loop."""

    @property
    def future(self) -> asyncio.Future[Any]:
        """Is done once it is, or once nobody waits for it any more."""


Asked = TypeVar("Asked", bound=Awaited)


class _Round(Generic[Asked]):
    """Of one event loop: what waits, and how much of the group before is not done."""

    __slots__ = ("began_at", "gathered", "is_due", "moment", "n_answered", "n_under_way")

    def __init__(self) -> None:
        self.gathered: list[Asked] = []
        self.is_due = False
        self.moment: asyncio.TimerHandle | None = None  # for those who were just answered
        self.n_under_way = 0
        self.n_answered = 0
        self.began_at = 0.0


class _Returning:
    """How many are expected to ask again, and until when: a guess that costs a moment, less often where it fails."""

    __slots__ = ("_n_missed", "_n_skipped", "_until", "n")

    def __init__(self) -> None:
        self.n = 0
        self._until = 0.0
        self._n_missed = self._n_skipped = 0

    def expect(self, n: int, *, took: float) -> None:
        """So many, of a group that took so many seconds."""
        self.n = 0
        if self._n_skipped > 0:
            self._n_skipped -= 1
        elif n > 1:
            self.n = min(n, GATHERED_AT_MOST)
            self._until = time.monotonic() + min(_SHARE_OF_A_GROUP * took, LONGEST_MOMENT_SECONDS)

    def seconds(self, n_here: int) -> float:
        """For how long it is worth waiting for those who are not here; 0 where it is not."""
        return 0.0 if n_here >= self.n else self._until - time.monotonic()

    def came(self) -> None:
        """All of them are here."""
        self._n_missed = 0

    def stayed_away(self) -> None:
        """Some are not, and the moment is over."""
        self._n_missed = min(self._n_missed + 1, _MOST_MISSES)
        self._n_skipped = 2**self._n_missed - 1


class Rounds(Generic[Asked]):
    """Takes pieces in groups, the next one only once everything of the one before is done.

    The more there is to do, the larger the groups, and the less each piece costs. With one client nobody is ever before
    it. What opens the way is that the futures of a group are done, however they come to be: written, refused, failed,
    or cancelled by who waited. So nothing can keep it shut that does not also keep its own callers waiting.

    Args:
        take: takes what was gathered and sees to it that each future is done some time.
    """

    def __init__(self, take: Callable[[list[Asked]], None]) -> None:
        self._take = take
        self._rounds: dict[asyncio.AbstractEventLoop, _Round[Asked]] = {}  # each touched by its own thread only
        self._returning = _Returning()  # of whichever loop was last: a wrong guess costs a moment

    def add(self, piece: Asked, loop: asyncio.AbstractEventLoop) -> bool:
        """One more, in the thread of its loop; gives whether it has to wait for others."""
        if (mine := self._rounds.get(loop)) is None:
            mine = self._rounds[loop] = _Round()
        mine.gathered.append(piece)
        if mine.moment is not None and len(mine.gathered) >= self._returning.n:
            self._all_came(mine, loop)
        self._go_on(mine, loop)
        return mine.n_under_way > 0 or mine.moment is not None or len(mine.gathered) > GATHERED_AT_MOST

    def hand_over_all(self) -> None:
        """What waits of every loop, whatever is under way; nobody may add to it meanwhile."""
        for mine in list(self._rounds.values()):
            while mine.gathered:
                self._begin(mine)

    def _go_on(self, mine: _Round[Asked], loop: asyncio.AbstractEventLoop) -> None:
        if not mine.gathered or mine.n_under_way or mine.is_due:
            return
        mine.is_due = True
        if (seconds := self._returning.seconds(len(mine.gathered))) > 0:
            mine.moment = loop.call_later(seconds, self._moment_over, mine, loop)
        else:
            loop.call_soon(self._turn_ended, mine, loop)

    def _all_came(self, mine: _Round[Asked], loop: asyncio.AbstractEventLoop) -> None:
        if mine.moment is not None:
            mine.moment.cancel()
        mine.moment = None
        self._returning.came()
        loop.call_soon(self._turn_ended, mine, loop)

    def _moment_over(self, mine: _Round[Asked], loop: asyncio.AbstractEventLoop) -> None:
        mine.moment = None
        self._returning.stayed_away()
        self._turn_ended(mine, loop)

    def _turn_ended(self, mine: _Round[Asked], loop: asyncio.AbstractEventLoop) -> None:
        mine.is_due = False
        if not mine.n_under_way:
            self._begin(mine)
        if not mine.n_under_way:  # all of it had gone away
            self._go_on(mine, loop)
            self._forget_if_idle(mine, loop)

    def _begin(self, mine: _Round[Asked]) -> None:
        there = [one for one in mine.gathered if not one.future.done()]  # without callers who went away
        group, mine.gathered = there[:GATHERED_AT_MOST], there[GATHERED_AT_MOST:]
        mine.n_under_way += len(group)
        mine.n_answered, mine.began_at = 0, time.monotonic()
        for one in group:
            one.future.add_done_callback(self._is_done)
        try:
            self._take(group)
        except Exception as fault:
            for one in group:
                if not one.future.done():
                    resolve(one.future, fault)

    def _is_done(self, future: asyncio.Future[Any]) -> None:
        loop = future.get_loop()
        mine = self._rounds[loop]
        mine.n_under_way -= 1
        mine.n_answered += not future.cancelled()
        if not mine.n_under_way:
            n = mine.n_answered + len(mine.gathered) if mine.n_answered else 0
            self._returning.expect(n, took=time.monotonic() - mine.began_at)
        self._go_on(mine, loop)
        self._forget_if_idle(mine, loop)

    def _forget_if_idle(self, mine: _Round[Asked], loop: asyncio.AbstractEventLoop) -> None:
        if not mine.gathered and not mine.n_under_way and not mine.is_due:
            self._rounds.pop(loop, None)
