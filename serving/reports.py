"""The marketers' pages over HTTP: what `experiments.report` writes, for this workspace, now."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from features.faults import CallersMistake
from features.workspace import Workspace
from serving.refusals import NotFound, WrongField


def add_report_routes(app: FastAPI) -> None:
    """Adds /report and the audience of a segment as CSV."""

    @app.get("/report", summary="The marketers' report: segments, funnel, what personalisation earned.")
    async def report(request: Request, locale: str | None = None) -> Response:
        """One HTML page. It may take seconds, so its first byte leaves at once."""
        workspace = request.app.state.engine.workspace

        def write() -> str:
            from experiments.report import report_html

            return report_html(workspace, locale=locale, audience_link="/report/audience/{segment}.csv")

        return StreamingResponse(_slowly(write), media_type="text/html; charset=utf-8")

    @app.get("/report/audience/{segment}.csv", summary="The customers of a segment, as CSV.")
    async def audience(request: Request, segment: str) -> Response:
        """Customer id, score columns; one row a customer of the newest scores."""
        workspace = request.app.state.engine.workspace

        def write() -> str:
            from experiments.report import audience_csv

            return audience_csv(workspace, segment)

        async def rows() -> AsyncIterator[str]:
            yield await asyncio.to_thread(write)

        if await asyncio.to_thread(_is_scored, workspace, segment):
            content = rows()  # of a hundred thousand customers it takes seconds, and the headers leave at once
        else:
            try:
                content = _at_once(await asyncio.to_thread(write))
            except CallersMistake as mistake:
                raise NotFound([WrongField("/segment", str(mistake))]) from None
        name = "".join(letter for letter in segment if letter.isalnum() or letter in "-_")
        disposition = {"content-disposition": f'attachment; filename="audience-{name}.csv"'}
        return StreamingResponse(content, media_type="text/csv; charset=utf-8", headers=disposition)


def _is_scored(workspace: Workspace, segment: str) -> bool:
    from experiments.report.scores import score_days

    days = score_days(workspace)
    return bool(days) and any(text["id"] == segment for text in days[-1].segment_texts())


async def _at_once(text: str) -> AsyncIterator[str]:
    yield text


async def _slowly(write: Callable[[], str]) -> AsyncIterator[str]:
    """White space at once, then the page: a server in front may give up on silence."""
    yield "\n"
    try:
        yield await asyncio.to_thread(write)
    except CallersMistake as mistake:
        yield f"<!doctype html><meta charset='utf-8'><title>Rapport</title><p>{html.escape(str(mistake))}</p>"
