"""GET /v1/catalogue: which brand.yaml and catalogue.yaml decisions are made with now, and what is wrong on disk."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from serving.engine import Engine


def add_catalogue_routes(app: FastAPI) -> None:
    """Adds /v1/catalogue."""

    @app.get(
        "/v1/catalogue",
        summary="Which versions of brand.yaml and catalogue.yaml are in use, and what is refused of those on disk.",
    )
    async def catalogue(request: Request) -> Response:
        """Versions by the sha256 of their files, as decisions name them; every fault of a file that is refused."""
        engine: Engine = request.app.state.engine
        return JSONResponse(engine.files.as_dict())
