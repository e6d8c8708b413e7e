"""New connections go to the worker that holds the fewest, so that no client waits behind another's worker.

All workers of a server listen on one socket, and whoever wakes first takes every connection that waits there. Clients
keep their connections, so what the first moment decided stays: of 16 connections one worker of two held 12 or 13 on
average, of 64 often 63. Here each worker takes one at a time, and while another one holds fewer it leaves the next one
to that for some milliseconds; then it takes it all the same: a worker that is stuck keeps nobody waiting.

Whoever has a connection and sends no whole head of a request for it is let go of: uvicorn would keep it for ever.

A worker that ends tells its clients with their next answer that it was the last one on this connection. uvicorn closes
what is idle at that moment, into which a busy client may just have sent, and never ends what was still being opened.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from serving.held_counts import SharedCounts

PATIENCE_SECONDS = 0.006
_LOOK_AGAIN_SECONDS = 0.0005
_OF_MANY = 8  # one more than another, or an eighth, is as many: who waits for an exact turn waits longer
_OUT_OF_DESCRIPTORS_SECONDS = 1.0
HEAD_SECONDS = 20.0  # in which a client sends the head of its first request, or of one more that it has begun
LAST_ANSWER_SECONDS = 0.3  # in which a client that is not idle asks once more
_log = logging.getLogger("rapport.serving")


class Ending:
    """Whether this worker ends: then each answer is the last one on its connection."""

    __slots__ = ("has_begun",)

    def __init__(self) -> None:
        self.has_begun = False


class FairServer:
    """Takes connections from a listening socket, one at a time and in turn with the other workers.

    Args:
        loop: its event loop.
        listening: the socket, which all workers share.
        make: a protocol for each connection.
        counts: what every worker holds.
        ending: begins when it is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        counts: SharedCounts,
        ending: Ending | None = None,
    ) -> None:
        self._loop, self._make, self._counts, self._ending = loop, make, counts, ending or Ending()
        self._listening: socket.socket | None = listening
        self._held: dict[asyncio.Protocol, asyncio.BaseTransport | None] = {}  # None: being opened
        self._until: float | None = None  # how long the connection that waits is left to others
        self._later: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[Any]] = set()
        self._headless: dict[asyncio.Protocol, object] = {}  # by what they were answered last
        self._sweep = loop.call_later(HEAD_SECONDS, self._close_headless)
        listening.setblocking(False)
        loop.add_reader(listening, self._take)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket it listens on, until it is closed."""
        return () if self._listening is None else (self._listening,)

    @property
    def n_held(self) -> int:
        """How many connections it holds."""
        return len(self._held)

    def is_serving(self) -> bool:
        """Whether it takes connections."""
        return self._listening is not None

    def close(self) -> None:
        """Takes no more; those that are open stay."""
        if self._listening is None:
            return
        self._ending.has_begun = True
        if self._later is not None:
            self._later.cancel()
        self._sweep.cancel()
        self._loop.remove_reader(self._listening)
        self._listening = None
        self._counts.close()

    async def wait_closed(self) -> None:
        """Returns at once: whoever closes waits for the connections themselves."""

    def _take(self) -> None:
        """One connection, unless it is another worker's turn."""
        if self._listening is None:
            return
        self._forget_closed()
        if self._counts.is_one_with_fewer(self.n_held - max(1, self.n_held // _OF_MANY)):
            now = self._loop.time()
            self._until = now + PATIENCE_SECONDS if self._until is None else self._until
            if now < self._until:
                self._look_again(after=_LOOK_AGAIN_SECONDS)
                return
        self._until = None
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another worker took it; who came has left
            return
        except OSError as fault:
            _log.error("no connection can be taken just now: %s", fault)
            self._look_again(after=_OUT_OF_DESCRIPTORS_SECONDS)
            return
        connection.setblocking(False)
        protocol = self._make()
        self._held[protocol] = None
        self._counts.tell(self.n_held)
        task = self._loop.create_task(self._open(connection, protocol))
        self._opening.add(task)  # the loop itself holds a task only weakly
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, protocol: asyncio.Protocol) -> None:
        lost = protocol.connection_lost

        def connection_lost(fault: Exception | None) -> None:
            self._let_go(protocol)
            lost(fault)

        protocol.connection_lost = connection_lost  # type: ignore[method-assign,assignment]  # uvicorn's
        shutdown = getattr(protocol, "shutdown", None)
        if shutdown is not None:
            protocol.shutdown = partial(self._loop.call_later, LAST_ANSWER_SECONDS, shutdown)  # type: ignore[attr-defined]
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except (OSError, RuntimeError):  # gone already, or the loop ends
            connection.close()
            self._let_go(protocol)
        else:
            if protocol in self._held:
                self._held[protocol] = transport
            if self._listening is None and shutdown is not None:  # uvicorn has told the others already
                self._loop.call_later(LAST_ANSWER_SECONDS, shutdown)

    def _let_go(self, protocol: asyncio.Protocol) -> None:
        if protocol in self._held:
            del self._held[protocol]
            self._counts.tell(self.n_held)

    def _forget_closed(self) -> None:
        """Lets go of connections that another protocol took over (a WebSocket's): that one is told of their end."""
        for protocol in [one for one, transport in self._held.items() if transport and transport.is_closing()]:
            self._let_go(protocol)

    def _close_headless(self) -> None:
        """Ends connections that have waited for the head of a request since the last time; those are uvicorn's names.

        One that was answered, and of which nothing more has come, has uvicorn's own timer.
        """
        before, self._headless = self._headless, {}
        for protocol, transport in list(self._held.items()):
            cycle = getattr(protocol, "cycle", None)
            is_asked = cycle is not None and not cycle.response_complete
            if transport is None or is_asked or getattr(protocol, "timeout_keep_alive_task", None) is not None:
                continue
            if transport.get_protocol() is not protocol:  # a WebSocket's now
                continue
            if protocol in before and before[protocol] is cycle:
                transport.close()
            else:
                self._headless[protocol] = cycle
        self._sweep = self._loop.call_later(HEAD_SECONDS, self._close_headless)

    def _look_again(self, *, after: float) -> None:
        listening = self._listening
        if listening is None:
            return
        self._loop.remove_reader(listening)
        self._later = self._loop.call_later(after, self._listen_again)

    def _listen_again(self) -> None:
        if self._listening is not None:
            if not _is_one_waiting(self._listening):
                self._until = None  # another worker took it: whoever comes next is left to others anew
            self._loop.add_reader(self._listening, self._take)


def accept_fairly(loop: asyncio.AbstractEventLoop, file: Path, *, ending: Ending | None = None) -> None:
    """Servers that are made on this loop of a listening socket, without TLS, take their connections in turn.

    uvicorn has no way to say how connections are taken: it asks its loop for a server, and so the loop is told.

    Args:
        loop: a worker's.
        file: where the workers tell each other what they hold.
        ending: begins when such a server is closed.
    """
    usual = loop.create_server

    async def create_server(
        make: Callable[[], asyncio.Protocol], *named: Any, **more: Any
    ) -> asyncio.AbstractServer | FairServer:
        listening = more.get("sock")
        if not isinstance(listening, socket.socket) or more.get("ssl") is not None:
            return await usual(make, *named, **more)
        listening.listen(more.get("backlog", 100))
        return FairServer(loop, listening, make, SharedCounts(file, port=_port_of(listening)), ending)

    loop.create_server = create_server  # type: ignore[method-assign,assignment]


def _port_of(listening: socket.socket) -> int:
    told = listening.getsockname()
    return int(told[1]) if isinstance(told, tuple) else 0


def _is_one_waiting(listening: socket.socket) -> bool:
    looking = select.poll()  # `select.select` cannot look at descriptors beyond 1,023
    looking.register(listening, select.POLLIN)
    return bool(looking.poll(0))
