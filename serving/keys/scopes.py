"""What a key may do, and which scope a request needs. What no rule names needs `admin`."""

from __future__ import annotations

from typing import Literal, cast, get_args

from features.faults import CallersMistake, closest_name

Scope = Literal["ingest", "decide", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_INGEST = frozenset(
    f"/v1/{call}" for call in ("identify", "track", "page", "screen", "group", "alias", "batch", "b", "import")
)
_DECIDE = frozenset(("/v1/decisions", "/v1/decisions/batch", "/v1/outcomes"))
_OF_A_DECISION = "/v1/decisions/"
_OPEN = frozenset(("/", "/livez", "/readyz", "/docs", "/openapi.json"))
_OPEN_FOLDER = "/docs/assets/"
_OF_MESSAGES = ("/r/", "/o/", "/u/")  # what customers press, who have no key: its token says what was sent
_LEAVES = "/u/"
_READ_FOLDERS = ("/v1/",)
_METRICS = "/metrics"


def needed_scope(method: str, path: str) -> Scope | None:
    """The scope that this request needs; None where anybody may ask."""
    if method in ("GET", "HEAD"):
        if path in _OPEN or path.startswith((_OPEN_FOLDER, *_OF_MESSAGES)):
            return None
        return "read" if path.startswith(_READ_FOLDERS) or path == _METRICS or is_page(path) else "admin"
    if method == "POST":
        if path in _DECIDE or (path.startswith(_OF_A_DECISION) and path.endswith("/exposure")):
            return "decide"
        if path in _INGEST:
            return "ingest"
        if path.startswith(_LEAVES):
            return None
    return "admin"


def is_page(path: str) -> bool:
    """Whether people open this in a browser, and need a key for it."""
    return path == "/report" or path.startswith(("/report/", "/decisions/"))


def may(scopes: frozenset[Scope], needed: Scope) -> bool:
    """Whether a key with these scopes may do what needs that one; `admin` may do everything."""
    return needed in scopes or "admin" in scopes


def read_scopes(said: str) -> frozenset[Scope]:
    """The scopes of a list such as `ingest,decide`.

    Raises:
        CallersMistake: it names none, or one that there is not.
    """
    names = [name.strip() for name in said.split(",") if name.strip()]
    for name in names:
        if name not in SCOPES:
            closest = closest_name(name, SCOPES)
            hint = f" Closest: '{closest}'." if closest else ""
            raise CallersMistake(
                f"Asked for a key with the scope '{name}', which there is not.{hint} There are: {', '.join(SCOPES)}."
            )
    if not names:
        raise CallersMistake(f"Asked for a key that may do nothing. Name scopes, of: {', '.join(SCOPES)}.")
    return frozenset(cast("list[Scope]", names))
