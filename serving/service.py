"""The BentoML service: Rapport's app mounted whole, with the settings that were measured to be fast."""

from __future__ import annotations

import gc
from pathlib import Path

import bentoml

from features.workspace import find_workspace
from serving.engine import Engine
from serving.guard import Guard
from serving.http import build_app
from serving.settings import Settings, read_settings

SWAGGER_FILES = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"

app = build_app(swagger_files=SWAGGER_FILES)


async def rapport(scope, receive, send):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The guarded app; a plain function, since BentoML would match the routes of a Starlette app twice."""
    await app.state.guard(scope, receive, send)


# traffic: BentoML's timeout timers are never cancelled, so objects live that long; 2 s without a first byte is a 504.
# tracing, metrics, access log: off; they cost more than a decision does.
@bentoml.service(
    name="rapport",
    workers=2,
    traffic={"timeout": 2},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(rapport, path="/")
class Rapport:
    """One worker: one engine."""

    def __init__(self) -> None:
        settings: Settings = read_settings()
        app.state.guard = Guard(app, body_limit_bytes=settings.body_limit_bytes)
        self.engine = app.state.engine = Engine(find_workspace(settings.workspace))
        self.engine.models.watch(every_seconds=settings.model_check_seconds)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Commits what waits."""
        self.engine.close()
