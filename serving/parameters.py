"""Query parameters that a route does not take are refused: `?dry_run=true` behind a POST would decide for real.

What a route takes it declares, as FastAPI's own parameters or in its description. Links, pictures and pages for
customers take anything, as mail services and ad networks put theirs behind every address; so do the probes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from features.faults import closest_name
from serving.refusals import RequestRefused, WrongField, shown

TAKE_ANYTHING = frozenset(("/", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics"))
FOR_CUSTOMERS = ("/r/", "/o/", "/u/")


class CarefulRoute(APIRoute):
    """A route that refuses query parameters which it does not take."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's; what is unknown is refused before anything else is looked at."""
        handle = super().get_route_handler()
        if self.path in TAKE_ANYTHING or self.path.startswith(FOR_CUSTOMERS):
            return handle
        taken = self._taken()

        async def careful(request: Request) -> Response:
            if request.scope.get("query_string"):
                refuse_unknown(request.query_params.keys(), taken)
            return await handle(request)

        return careful

    def _taken(self) -> tuple[str, ...]:
        described = (self.openapi_extra or {}).get("parameters", ())
        in_query = [str(one["name"]) for one in described if one["in"] == "query"]
        return (*(one.alias for one in self.dependant.query_params), *in_query)


def refuse_unknown(names: Iterable[str], taken: Sequence[str]) -> None:
    """Refuses names that are none of those that are taken.

    Raises:
        RequestRefused: with every name that is none of them.
    """
    if faults := [_unknown(name, taken) for name in dict.fromkeys(names) if name not in taken]:
        raise RequestRefused(faults)


def _unknown(name: str, taken: Sequence[str]) -> WrongField:
    if not taken:
        hint = "It takes none: send what you want to say in the body, if there is one."
    elif (closest := closest_name(name, taken)) is not None:
        hint = f"Closest: '{closest}'."
    else:
        hint = f"There are: {', '.join(sorted(taken))}."
    return WrongField(f"/{shown(name)}", f"is no query parameter of this question. {hint}")
