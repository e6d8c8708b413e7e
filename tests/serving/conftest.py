"""Worlds that a human can see through: two offers and a greeting, and the shipped brand in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.brand import Brand, load_brand
from features.starting import write_starter
from features.workspace import Workspace
from serving.launching import command, environment
from serving.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTS_WITHIN_SECONDS = 150


@pytest.fixture
def noon() -> datetime:
    return NOON


def starter(folder: Path) -> Workspace:
    write_starter(folder)
    return Workspace(folder)


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return starter(tmp_path / "shop")


@pytest.fixture(scope="session")
def shipped_brand(tmp_path_factory: pytest.TempPathFactory) -> Brand:
    return load_brand(starter(tmp_path_factory.mktemp("brand") / "shop"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


Serve = Callable[..., object]


@contextmanager
def served(
    workspace: Workspace, *, service: str | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A real server on a free port for as long as the block lasts; its address."""
    settings = Settings(port=free_port(), graceful_seconds=5, timeout_seconds=30)  # other tests may hold the disk
    arguments = command(settings, **({"service": service} if service else {}))
    log = workspace.root / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            env=environment(settings, workspace, os.environ) | dict(variables or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=workspace.root,
        )
    address = f"http://127.0.0.1:{settings.port}"
    try:
        _wait_until_ready(address, process, log)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The server did not become ready:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def served_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Workspace]]:
    """The shipped brand with no data and no model, served by two workers; a cart is abandoned within a second."""
    workspace = starter(tmp_path_factory.mktemp("served") / "shop")
    text = workspace.brand_file.read_text("utf-8")
    assert text.count("wait_hours: 3\n") == 1
    workspace.brand_file.write_text(text.replace("wait_hours: 3\n", "wait_minutes: 0.01\n"), "utf-8")
    with served(workspace) as address:
        yield address, workspace
