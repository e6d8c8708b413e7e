"""Feast, loaded without the instrumentation of its type checks.

Feast decorates its classes with typeguard's `typechecked`, which takes each one's source apart and compiles it anew
while it is imported: 9.6 s of CPU instead of 2.6, in every worker and every command (Feast 0.67, typeguard 4). What it
would check is checked by mypy where we call it.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

_USED = (
    "feast",
    "feast.infra.offline_stores.duckdb",
    "feast.infra.online_stores.sqlite",
    "feast.infra.passthrough_provider",
)
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_FEASTS = "PROMETHEUS_MULTIPROCESS_DIR"


def load_feast() -> None:
    """Imports what we use of Feast, once a process; called before anything is imported from it."""
    if "feast" in sys.modules:
        return
    is_collected = _METRICS in os.environ  # by who started us, such as BentoML above its workers
    if is_collected:
        Path(os.environ[_METRICS]).mkdir(parents=True, exist_ok=True)
    else:
        # Decides now, while nobody names a folder, to count in memory: else each process leaves three files behind.
        importlib.import_module("prometheus_client.values")
    named = os.environ.get(_FEASTS)
    # Where none is named, Feast makes one in /tmp and removes it at an ordinary exit only; workers end by SIGTERM.
    os.environ[_FEASTS] = named or os.environ.get(_METRICS) or tempfile.gettempdir()
    typeguard: Any = importlib.import_module("typeguard")
    instrumenting = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        for name in _USED:
            importlib.import_module(name)
    finally:
        typeguard.typechecked = instrumenting
        if not is_collected:
            os.environ.pop(_METRICS, None)  # Feast named one, which a process that we start must not write to
        if named is None:
            os.environ.pop(_FEASTS, None)


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return (lambda decorated: decorated) if target is None else target
