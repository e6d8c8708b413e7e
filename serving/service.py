"""The BentoML service: Rapport's worker, with the settings that were measured to be fast.

BentoML imports this also in the process above the workers, which answers nobody: what a worker needs, seconds of CPU
and 150 MB, is imported when BentoML makes a worker's instance.
"""

from __future__ import annotations

from pathlib import Path

import bentoml
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

SWAGGER_FILES = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"


class Front:
    """Answers every request with our app; BentoML keeps the process: workers, signals, start and stop.

    As a middleware and not as a mounted app: BentoML's own /readyz, /docs.json and 404 would stand before a mount, with
    other bodies than ours, and a mounted Starlette app has every route matched twice.

    BentoML puts its own middlewares before those that are added: a span that is never kept, and a time limit with a
    task of its own and a timer that nobody cancels. From its start on, requests come here first.
    """

    answers: ASGIApp  # told by the worker before BentoML lets a request in

    def __init__(self, app: ASGIApp) -> None:
        self._bentoml = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or BentoML's own start and stop."""
        if scope["type"] == "lifespan":
            _go_before(scope["app"])
        answering = Front.answers if scope["type"] == "http" else self._bentoml
        await answering(scope, receive, send)


def _go_before(bentoml_app: Starlette) -> None:
    """Requests reach our app before every middleware of BentoML's."""
    behind = bentoml_app.middleware_stack
    if behind is not None:
        bentoml_app.middleware_stack = Front(behind)


def _answer_with(app: ASGIApp) -> None:
    Front.answers = app


# tracing, metrics, access log: off; they cost more than a decision does.
@bentoml.service(
    name="rapport",
    workers=2,
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
class Rapport:
    """One worker."""

    def __init__(self) -> None:
        from serving.worker import Worker

        self._worker = Worker(swagger_files=SWAGGER_FILES)
        self._worker.open(answer_with=_answer_with)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Commits what waits."""
        self._worker.close()


Rapport.add_asgi_middleware(Front)  # type: ignore[attr-defined]  # the decorator makes it a Service
