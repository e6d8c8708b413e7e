"""Where links, pictures and unsubscriptions of messages come back: without a key, since customers have none.

A token that was not made here is refused and nothing is written. A customer who presses a link comes to where it leads,
also where the click cannot be written just then.
"""

from __future__ import annotations

import logging
from base64 import b64decode
from html import escape
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from serving.engine import Engine
from serving.joining.hosts import host_led_to, host_shown
from serving.joining.leaving import Words, words_of
from serving.joining.machines import machine_in
from serving.joining.seen import seen
from serving.joining.stamping import tracked_url
from serving.joining.tokens import ITEM, LINK, OPEN, UNSUBSCRIBE, Said
from serving.outcome_rows import ERASED, Recorded
from serving.refusals import NotFound, RequestRefused, WrongField, shown
from serving.unavailable import Unavailable

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NOT_KEPT = {"cache-control": "no-store, private", "x-robots-tag": "noindex, nofollow"}
_SAFE = {
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}
_AS_IN_AN_ADDRESS = ":/?#[]@!$&'()*+,;=%-._~"
_PAGE = Path(__file__).parents[1] / "templates" / "unsubscribe.html"
_log = logging.getLogger("rapport.serving")


class NotALink(RequestRefused):
    """A redirect that would lead where the brand's links do not lead."""

    status = 400
    title = "This is no link of ours."


def add_joining_routes(app: FastAPI) -> None:
    """Adds the redirect, the picture and the way out."""
    page = _PAGE.read_text(encoding="utf-8")

    @app.head("/r/{token}", include_in_schema=False)
    @app.get("/r/{token}", summary="A link of a message: counts the click, leads on.")
    async def follow(token: str, request: Request) -> Response:
        """302 to `to`, whose host is the token's own, one of the catalogue's links or of link_hosts in brand.yaml."""
        engine: Engine = request.app.state.engine
        said = _read(engine, token, (LINK, ITEM))
        to = _destination(request, engine, said)
        if request.method == "HEAD":
            return _led_to(to)
        is_machine = machine_in(request.headers) is not None
        recorded = await _note(engine, token, said, is_machine=is_machine)
        is_machine = is_machine or (recorded is not None and recorded.is_machine)  # also where it came too fast
        return _led_to(to if is_machine else tracked_url(to, token=token, public_url=None))

    @app.head("/o/{token}.gif", include_in_schema=False)
    @app.get("/o/{token}.gif", summary="The picture that says that a mail was opened.")
    async def opened(token: str, request: Request) -> Response:
        """A transparent pixel; a mail proxy's look is marked and not counted."""
        engine: Engine = request.app.state.engine
        said = _read(engine, token, (OPEN,))
        if request.method == "GET":
            await _note(engine, token, said, is_machine=machine_in(request.headers) is not None)
        return Response(GIF, media_type="image/gif", headers=_NOT_KEPT)

    @app.get("/u/{token}", summary="Where a customer leaves a channel: asks once more, changes nothing.")
    async def leaving(token: str, request: Request) -> Response:
        """A page with one button: scanners follow links, and must not unsubscribe anybody."""
        _read(request.app.state.engine, token, (UNSUBSCRIBE,))
        words = words_of(request.headers.get("accept-language", ""))
        return _page(page, request, words, title=words.asks, button=words.button)

    @app.post("/u/{token}", summary="Leaves the channel of that message, at once (RFC 8058).")
    async def leave(token: str, request: Request) -> Response:
        """Durable before it answers; from then on that channel is suppressed for that customer."""
        engine: Engine = request.app.state.engine
        said = _read(engine, token, (UNSUBSCRIBE,))
        recorded = await _record(engine, token, said, is_machine=False)
        words = words_of(request.headers.get("accept-language", ""))
        if recorded is None:
            return _page(page, request, words, title=words.unknown, status=404)
        return _page(page, request, words, title=words.erased if recorded.status == ERASED else words.left)


def _read(engine: Engine, token: str, kinds: tuple[str, ...]) -> Said:
    said = engine.stamper.mint.read(token)
    if said is None or said.kind not in kinds:
        rule = f"'{shown(token)}' was not made here for this, or was changed on its way. Nothing was written."
        raise NotFound([WrongField("/token", rule)])
    return said


def _destination(request: Request, engine: Engine, said: Said) -> str:
    to = request.query_params.get("to")
    if not to:
        raise NotALink([WrongField("/to", "is missing: where the link leads, as the message said it.")])
    host = host_led_to(to)
    if host is None or not (host in engine.stock.hosts or engine.stamper.mint.mark_of(host) == said.host_mark):
        rule = (
            f"leads to '{shown(host_shown(to))}', which is no host of this brand's links. Links lead where their "
            "message led, to the hosts of the catalogue's links and to those of link_hosts in brand.yaml: add it "
            "there if it is yours."
        )
        raise NotALink([WrongField("/to", rule)])
    return to


def _led_to(url: str) -> Response:
    return Response(status_code=302, headers=_NOT_KEPT | {"location": quote(url, safe=_AS_IN_AN_ADDRESS)})


async def _note(engine: Engine, token: str, said: Said, *, is_machine: bool) -> Recorded | None:
    """Writes it where that is possible; a customer is led on in any case."""
    try:
        return await _record(engine, token, said, is_machine=is_machine)
    except Unavailable as trouble:
        _log.warning("a %s was not written: %s", said.kind, trouble)
    return None


async def _record(engine: Engine, token: str, said: Said, *, is_machine: bool) -> Recorded | None:
    stock = engine.stock
    work = seen(
        token,
        said,
        at=engine.now(),
        is_machine=is_machine,
        attribution=stock.window,
        goals_of=stock.goals,
        default_goal=next(iter(stock.brand.goals)),
    )
    return await engine.ledger.write_soon(work)


def _page(
    page: str, request: Request, words: Words, *, title: str, button: str | None = None, status: int = 200
) -> Response:
    engine: Engine = request.app.state.engine
    pressed = "" if button is None else f'<form method="post"><button type="submit">{escape(button)}</button></form>'
    told = {"lang": words.language, "brand": engine.brand.name, "title": title.format(brand=engine.brand.name)}
    for name, text in told.items():
        page = page.replace(f"{{{{{name}}}}}", escape(text))
    return HTMLResponse(page.replace("{{button}}", pressed), status_code=status, headers=_NOT_KEPT | _SAFE)
