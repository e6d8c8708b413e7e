"""The page of a decision over HTTP."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from serving.refusals import NotFound, WrongField

_ERASED = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>Rapport</title><p>The customer of this decision was "
    "erased, and the decision with them.</p></html>"
)


def add_explanation_routes(app: FastAPI) -> None:
    """Adds /decisions/{decision_id}, for people."""

    @app.get("/decisions/{decision_id}", summary="One decision as a page: what was said, why, and what else could be.")
    async def decision_page(decision_id: str, request: Request) -> Response:
        """One HTML page that fetches nothing."""
        from serving.explaining.page import NoSuchDecision
        from serving.explaining.page import decision_page as page_of

        workspace = request.app.state.engine.workspace
        try:
            page = await asyncio.to_thread(page_of, workspace, decision_id)
        except NoSuchDecision:
            rule = "there is no such decision. Ask with the decision_id that POST /v1/decisions answered with."
            raise NotFound([WrongField("/decision_id", rule)]) from None
        return HTMLResponse(_ERASED if page is None else page)
