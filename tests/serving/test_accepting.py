"""Connections are spread over the workers of one socket, and nobody waits for a worker that takes none."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from serving import accepting
from serving.accepting import Ending, FairServer, accept_fairly
from serving.held_counts import SharedCounts

HERE, THERE = os.getpid(), os.getppid()  # two processes that live
NOBODY = 2**22 + 1  # beyond the largest process id of Linux


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:  # uvloop's are of no asyncio class
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.listen(100)
    return made


def counts(folder: Path, *, pid: int = HERE, port: int = 1) -> SharedCounts:
    return SharedCounts(folder / "connections", port=port, pid=pid)


async def connected(port: int, n: int) -> list[asyncio.StreamWriter]:
    """So many connections, each of which was answered once."""
    made = []
    for _ in range(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), 5.0) == b"x"
        made.append(writer)
    return made


async def closed(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_workers_of_one_socket_hold_nearly_as_many_connections_each(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    async def main() -> None:
        loop, first = asyncio.get_running_loop(), listening()
        second, held = first.dup(), {HERE: counts(tmp_path), THERE: counts(tmp_path, pid=THERE)}
        servers = [FairServer(loop, first, Echo, held[HERE]), FairServer(loop, second, Echo, held[THERE])]
        writers = await connected(first.getsockname()[1], 17)
        assert sum(server.n_held for server in servers) == 17
        assert min(server.n_held for server in servers) >= 7
        await closed(writers)
        for _ in range(500):
            if sum(server.n_held for server in servers) == 0:
                break
            await asyncio.sleep(0.01)
        assert [server.n_held for server in servers] == [0, 0]
        for server in servers:
            server.close()
            assert not server.is_serving()
        first.close()
        second.close()

    run(main())


def test_a_worker_that_takes_none_though_it_holds_fewer_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        counts(tmp_path, pid=THERE)  # lives, holds nothing, takes nothing
        with closing(listening()) as socket_:
            server = FairServer(asyncio.get_running_loop(), socket_, Echo, counts(tmp_path))
            writers = await connected(socket_.getsockname()[1], 3)
            assert server.n_held == 3
            await closed(writers)
            server.close()

    asyncio.run(main())


def test_a_connection_is_left_only_to_a_worker_that_lives_and_listens_there(tmp_path: Path) -> None:
    mine = counts(tmp_path)
    assert not mine.is_one_with_fewer(5)
    counts(tmp_path, pid=NOBODY)
    counts(tmp_path, pid=THERE, port=2)
    assert not mine.is_one_with_fewer(5)
    other = counts(tmp_path, pid=THERE)  # takes the slot of him who is dead
    assert mine.is_one_with_fewer(5)
    other.tell(5)
    assert not mine.is_one_with_fewer(5)
    other.tell(4)
    assert mine.is_one_with_fewer(5)
    other.close()
    assert not mine.is_one_with_fewer(5)


def test_where_the_file_cannot_be_written_each_takes_what_comes(tmp_path: Path) -> None:
    async def main() -> None:
        alone = SharedCounts(tmp_path / "no such folder" / "connections", port=1)
        with closing(listening()) as socket_:
            server = FairServer(asyncio.get_running_loop(), socket_, Echo, alone)
            await closed(await connected(socket_.getsockname()[1], 2))
            server.close()

    asyncio.run(main())


def test_a_loop_that_was_told_takes_turns_on_a_socket_and_serves_an_address_as_before(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accept_fairly(loop, tmp_path / "connections")
        fair = await loop.create_server(Echo, sock=socket.create_server(("127.0.0.1", 0)), backlog=5)
        assert isinstance(fair, FairServer)
        assert len(fair.sockets) == 1
        usual = await loop.create_server(Echo, "127.0.0.1", 0)
        assert not isinstance(usual, FairServer)
        for server in (fair, usual):
            await closed(await connected(server.sockets[0].getsockname()[1], 2))
        (listened,) = fair.sockets
        fair.close()
        listened.close()
        usual.close()
        await fair.wait_closed()

    asyncio.run(main())


class Upgraded(Echo):
    """Hands its connection to another protocol, as a WebSocket's handshake does."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.set_protocol(Echo())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_another_protocol_took_over_is_held_until_it_ends(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    async def main() -> None:
        with closing(listening()) as socket_:
            server = FairServer(asyncio.get_running_loop(), socket_, Upgraded, counts(tmp_path))
            port = socket_.getsockname()[1]
            writers = await connected(port, 3)
            assert server.n_held == 3
            await closed(writers)
            for _ in range(500):
                last = await connected(port, 1)  # who takes one looks which of the others are still open
                await closed(last)
                if server.n_held == 1:
                    break
                await asyncio.sleep(0.01)
            assert server.n_held == 1
            server.close()

    run(main())


def test_each_connection_is_left_to_others_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = 0.3
    monkeypatch.setattr(accepting, "PATIENCE_SECONDS", patience)

    async def main() -> None:
        other = counts(tmp_path, pid=THERE)
        with closing(listening()) as socket_, closing(socket_.dup()) as theirs:
            server = FairServer(asyncio.get_running_loop(), socket_, Echo, counts(tmp_path))
            port = socket_.getsockname()[1]
            other.tell(9)
            writers = await connected(port, 3)
            other.tell(0)
            for _ in range(2):
                writers.append((await asyncio.open_connection("127.0.0.1", port))[1])
                await asyncio.sleep(patience / 10)  # long enough to be taken, were it not the other one's turn
                theirs.accept()[0].close()
                await asyncio.sleep(patience * 1.5)
                assert server.n_held == 3
            await closed(writers)
            server.close()

    asyncio.run(main())


class Idle(Echo):
    """As uvicorn's protocol: told to end, it closes what is idle at once."""

    def shutdown(self) -> None:
        self.transport.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_is_being_opened_when_the_server_ends_is_ended_too(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    async def main() -> None:
        loop, one = asyncio.get_running_loop(), listening()

        def make() -> Idle:
            server.close()  # uvicorn tells those to end that are open by now: this one is not
            return Idle()

        server = FairServer(loop, one, make, counts(tmp_path))
        reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
        writer.write(b"x")
        assert await asyncio.wait_for(reader.read(), 10.0) == b"x"  # answered once, and then the end
        await closed([writer])
        one.close()

    run(main())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_is_told_to_end_is_answered_once_more(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path
) -> None:
    async def main() -> None:
        loop, one, made = asyncio.get_running_loop(), listening(), list[Idle]()

        def make() -> Idle:
            made.append(Idle())
            return made[-1]

        ending = Ending()
        server = FairServer(loop, one, make, counts(tmp_path), ending)
        reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), 5.0) == b"x"
        server.close()
        made[0].shutdown()  # as uvicorn does next
        assert ending.has_begun
        writer.write(b"y")
        assert await asyncio.wait_for(reader.read(), 10.0) == b"y"
        await closed([writer])
        one.close()

    run(main())


class Headed(Echo):
    """As uvicorn's protocol: a request begins with its head's last byte; after its answer a timer ends what is idle."""

    cycle: Any = None
    timeout_keep_alive_task: Any = None

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\n"):
            self.cycle = SimpleNamespace(response_complete=not data.startswith(b"slow"))
            self.timeout_keep_alive_task = object()
            self.transport.write(data)
        else:
            self.timeout_keep_alive_task = None


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_whoever_never_sends_a_whole_head_is_let_go_of_and_nobody_else(
    run: Callable[[Coroutine[None, None, None]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "HEAD_SECONDS", 0.2)

    async def main() -> None:
        one = listening()
        server = FairServer(asyncio.get_running_loop(), one, Headed, counts(tmp_path))
        sent = {
            "nothing": b"",
            "half a head": b"POST",
            "half of the next": b"POST\n",
            "answered": b"GET\n",
            "busy": b"slow\n",
        }
        made = {}
        for name, data in sent.items():
            made[name] = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
            made[name][1].write(data)
            if data.endswith(b"\n"):
                await asyncio.wait_for(made[name][0].readexactly(len(data)), 5.0)
        made["half of the next"][1].write(b"PO")
        for name in ("nothing", "half a head", "half of the next"):
            assert await asyncio.wait_for(made[name][0].read(), 10.0) == b"", name
        for name in ("answered", "busy"):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(made[name][0].read(1), 0.6)
        server.close()
        await closed([writer for _, writer in made.values()])
        one.close()

    run(main())
