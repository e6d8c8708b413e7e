"""A client that loads a server: keep-alive connections over raw sockets, one request in flight on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvloop


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load; `n_answered` counts the warm-up too."""

    n_connections: int
    n_answered: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    n_failed: int


class _Connection(asyncio.Protocol):
    """Sends, waits for the whole answer, sends again."""

    def __init__(self, request: Callable[[], bytes], seconds: list[float], failed: list[bytes]) -> None:
        self._request, self._seconds, self._failed = request, seconds, failed
        self._received, self._expected, self._sent_at = b"", -1, 0.0
        self._transport: Any = None  # uvloop's transports are of no asyncio class

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._received, self._expected = b"", -1
            self._sent_at = time.perf_counter()
            self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._received[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self._expected = end + 4 + length
        if len(self._received) >= self._expected:
            self._seconds.append(time.perf_counter() - self._sent_at)
            if not self._received.startswith(b"HTTP/1.1 20"):
                self._failed.append(self._received[:2_000])
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


def load(port: int, request: Callable[[], bytes], *, n_connections: int, seconds: float, warm_up: float = 1.0) -> Load:
    """Loads 127.0.0.1 for some seconds after a warm-up.

    Args:
        port: where the server listens.
        request: makes the bytes of one request.
        n_connections: how many connections, each with one request in flight.
        seconds: how long.
        warm_up: how long before that, not counted.
    """
    taken: list[float] = []
    failed: list[bytes] = []
    early: list[int] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Connection(request, taken, failed), "127.0.0.1", port)
            for _ in range(n_connections)
        ]
        await asyncio.sleep(warm_up)
        early.append(len(taken))
        taken.clear()
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        elapsed = time.perf_counter() - started
        for transport, _ in made:
            transport.abort()
        return elapsed

    elapsed = uvloop.run(run())
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed, the first with: {failed[0].decode(errors='replace')}")
    p50, p99 = np.percentile(taken, [50, 99]) if taken else (float("nan"), float("nan"))
    return Load(
        n_connections, sum(early) + len(taken), len(taken) / elapsed, float(p50) * 1e3, float(p99) * 1e3, len(failed)
    )


def post(path: str, body: bytes) -> bytes:
    """The bytes of one POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
