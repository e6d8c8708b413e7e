"""The BentoML service: Rapport's app, with the settings that were measured to be fast."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.database import connect
from features.workspace import Workspace, find_workspace
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
from serving.launching import SLACK_SECONDS
from serving.opening import open_when_possible
from serving.orphans import end_with_parent
from serving.settings import Settings, read_settings

SWAGGER_FILES = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"

SWITCH_SECONDS = 0.0005

application = build_app(swagger_files=SWAGGER_FILES)


class Front:
    """Answers every request with our app; BentoML keeps the process: workers, signals, start and stop.

    As a middleware and not as a mounted app: BentoML's own /readyz, /docs.json and 404 would stand before a mount, with
    other bodies than ours, and a mounted Starlette app has every route matched twice.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._bentoml = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or BentoML's own start and stop."""
        answering = application.state.guard if scope["type"] == "http" else self._bentoml
        await answering(scope, receive, send)


# traffic: the Guard answers 504 itself, BentoML's own limit only stands behind it (see launching.SLACK_SECONDS).
# tracing, metrics, access log: off; they cost more than a decision does.
@bentoml.service(
    name="rapport",
    workers=2,
    traffic={"timeout": 2 + SLACK_SECONDS},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
class Rapport:
    """One worker: one engine."""

    def __init__(self) -> None:
        end_with_parent()
        self._closing: list[Callable[[], None]] = []
        settings = read_settings()
        workspace = find_workspace(settings.workspace)
        open_when_possible(workspace.database, partial(self._opened, settings, workspace), answer_with=_answer_with)

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
        application.state.engine = engine
        application.state.ingest_limits = settings.ingest_limits
        application.state.dead_letters_kept = settings.dead_letters_kept
        # Each step of a statement gives up the GIL; behind a busy event loop the committer would wait 5 ms to get it
        # back, a dozen times in one transaction, while the other workers' committers wait for that transaction.
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)
        return Guard(
            application,
            body_limit_bytes=settings.body_limit_bytes,
            longer_bodies={CAMPAIGN_PATH: max(CAMPAIGN_BYTES, settings.body_limit_bytes)},
            timeout_seconds=settings.timeout_seconds,
            gate=gate,
        )

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Commits what waits."""
        while self._closing:
            self._closing.pop()()


def _answer_with(app: ASGIApp) -> None:
    application.state.guard = app


Rapport.add_asgi_middleware(Front)  # type: ignore[attr-defined]  # the decorator makes it a Service
