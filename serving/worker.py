"""One worker: one engine, everything around it, and the app that answers with them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from features.database import connect
from features.workspace import Workspace, find_workspace
from serving.accepting import Ending, accept_fairly
from serving.campaigns.reading import BODY_BYTES as CAMPAIGN_BYTES
from serving.campaigns.reading import PATH as CAMPAIGN_PATH
from serving.clocks import clock_from
from serving.due_moments import MomentWatch
from serving.engine import Engine
from serving.guard import Guard
from serving.http import build_app
from serving.joining.stamper import open_stamper
from serving.keys.gate import Gate
from serving.keys.rates import SharedRates
from serving.keys.table import note_use
from serving.memory import settle_memory
from serving.opening import open_when_possible
from serving.orphans import end_with_parent
from serving.settings import Settings, read_settings

SWITCH_SECONDS = 0.0005


class Worker:
    """Opened once in each process of the server."""

    def __init__(self, *, swagger_files: Path) -> None:
        """Builds the app; nothing is open yet."""
        self._app = build_app(swagger_files=swagger_files)
        self._closing: list[Callable[[], None]] = []
        self._ending = Ending()

    def open(self, *, answer_with: Callable[[ASGIApp], None]) -> None:
        """Opens everything now, or as soon as the workspace's database can be written.

        Args:
            answer_with: is told which app answers from now on.
        """
        end_with_parent()
        settings = read_settings()
        workspace = find_workspace(settings.workspace)
        with contextlib.suppress(RuntimeError):  # no event loop: nobody listens
            accept_fairly(asyncio.get_running_loop(), workspace.state / "connections", ending=self._ending)
        open_when_possible(workspace.database, partial(self._opened, settings, workspace), answer_with=answer_with)

    def close(self) -> None:
        """Commits what waits."""
        while self._closing:
            self._closing.pop()()

    def _opened(self, settings: Settings, workspace: Workspace) -> ASGIApp:
        """Everything that answers; the newest part is closed first."""
        stamper = open_stamper(workspace.state, secret=settings.token_secret, public_url=settings.public_url)
        engine = Engine(workspace, clock=clock_from(settings.clock), stamper=stamper, falls_back=True)
        self._closing.append(engine.close)
        gate = Gate(
            connect(workspace.database),
            rates=SharedRates(workspace.state / "rates"),
            required=settings.needs_keys,
            note_use=lambda key_id, at: engine.ledger.write_later(partial(note_use, key_id=key_id, at=at)),
        )
        self._closing.append(gate.close)
        engine.warm_up()
        engine.models.watch(every_seconds=settings.model_check_seconds)
        engine.files.watch(every_seconds=settings.model_check_seconds)
        moments = MomentWatch(engine)
        moments.start()
        self._closing.append(moments.close)
        self._app.state.engine = engine
        self._app.state.ingest_limits = settings.ingest_limits
        self._app.state.dead_letters_kept = settings.dead_letters_kept
        # Each step of a statement gives up the GIL; behind a busy event loop the committer would wait 5 ms to get it
        # back, a dozen times in one transaction, while the other workers' committers wait for that transaction.
        sys.setswitchinterval(SWITCH_SECONDS)
        settle_memory()
        return Guard(
            self._app,
            body_limit_bytes=settings.body_limit_bytes,
            longer_bodies={CAMPAIGN_PATH: max(CAMPAIGN_BYTES, settings.body_limit_bytes)},
            timeout_seconds=settings.timeout_seconds,
            gate=gate,
            ending=self._ending,
        )
