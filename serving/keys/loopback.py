"""What can be reached from this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1_000)
def is_loopback(host: str) -> bool:
    """Whether what is bound to that host can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_from_here(request: Mapping[str, Any]) -> bool:
    """Whether a request reached the server on a loopback address or a socket file, whatever the server was told.

    A Bento that somebody serves with BentoML's own command is bound to every address, and our settings do not know.
    """
    server = request.get("server")
    return server is None or server[1] is None or is_loopback(server[0])
