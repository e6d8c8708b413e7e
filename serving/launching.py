"""How the server process is started: BentoML's own command, quiet, on the address that was asked for."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from features.database import connect
from features.faults import CallersMistake
from features.workspace import WORKSPACE_VARIABLE, Workspace
from serving.keys.table import KeyTable
from serving.settings import PREFIX, Settings

SERVICE = "serving.service:Rapport"


def command(settings: Settings, *, service: str = SERVICE) -> list[str]:
    """The command line that serves."""
    return [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        service,
        "--host",
        settings.host,
        "--port",
        str(settings.port),
        "--timeout-graceful-shutdown",
        str(settings.graceful_seconds),
    ]


def require_free(host: str, port: int) -> None:
    """Refuses an address that nobody could listen on just now.

    Raises:
        CallersMistake: the port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: closed connections do not matter
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CallersMistake(
                f"Asked to serve on {host}:{port}, but that cannot be listened on: {error.strerror}. "
                "Stop what listens there, or name another address with --port or --host."
            ) from None


def has_keys(workspace: Workspace) -> bool:
    """Whether any key of the workspace opens anything now."""
    connection = connect(workspace.database)
    try:
        return any(key.state(datetime.now(UTC)) == "active" for key in KeyTable(connection).all())
    finally:
        connection.close()


def environment(settings: Settings, workspace: Workspace, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server and its workers: the workspace, the workers, and nothing sent to anybody."""
    told = {
        f"{PREFIX}{name.upper()}": str(value)
        for name, value in settings.model_dump(exclude={"workspace"}, exclude_none=True).items()
    }
    return {
        **_home_of_bentoml(workspace, inherited),
        **inherited,
        **told,
        WORKSPACE_VARIABLE: str(workspace.root),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_CONFIG_OVERRIDES": json.dumps({"services": {"rapport": {"workers": settings.workers}}}),
        "PYTHONSAFEPATH": "1",  # a folder called 'features' where the command is run must not stand in for ours
    }


def _home_of_bentoml(workspace: Workspace, inherited: Mapping[str, str]) -> dict[str, str]:
    """Where BentoML keeps files of its own, unless it is told: in the workspace for a user who has no home."""
    usual = Path(inherited.get("HOME", "~")).expanduser() / "bentoml"
    with contextlib.suppress(OSError, RuntimeError):
        usual.mkdir(exist_ok=True)
        if os.access(usual, os.W_OK):
            return {}
    return {"BENTOML_HOME": str(workspace.state / "bentoml")}
