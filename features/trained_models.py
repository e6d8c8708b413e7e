"""Which models were trained while a person was known: read from the artefacts, which say what they were trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from features.lake import instant_us
from features.workspace import Workspace

_LEARNED_FROM = ("train", "calibrate")


def models_trained_with(workspace: Workspace, *, known_since_us: int | None) -> list[dict[str, Any]]:
    """The versions of models that learned from a customer known since then, oldest first.

    A version learned from everyone of whom anything was known before the newest instant that it learned from. Nothing
    of one person can be read out of it; a version trained from now on does not know them.

    Args:
        workspace: whose artefacts are looked at.
        known_since_us: the earliest event of the customer, µs since the epoch; None where there is none.

    Returns:
        model, version, learned_until, is_served.
    """
    served = _json(workspace.artifacts / "champion.json") or {}
    found = []
    for path in sorted(workspace.artifacts.glob("*/*/model.json")):
        description = _json(path)
        until = max(_instants(description), default=None) if description else None
        if until is None or known_since_us is None or known_since_us >= instant_us(until):
            continue
        model, version = path.parent.parent.name, path.parent.name
        is_served = dict(served.get(model) or {}).get("version") == version
        found.append({"model": model, "version": version, "learned_until": until.isoformat(), "is_served": is_served})
    return sorted(found, key=lambda one: (one["learned_until"], one["model"], one["version"]))


def _instants(value: object) -> Iterator[datetime]:
    """The instants at which a version's training rows stand, wherever its windows are said; a label's end is none."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "windows" and isinstance(inner, dict):
                for of in _LEARNED_FROM:
                    yield from _starts(inner.get(of))
            else:
                yield from _instants(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _instants(inner)


def _starts(window: object) -> Iterator[datetime]:
    if isinstance(window, str):
        try:
            at = datetime.fromisoformat(window)
        except ValueError:
            return
        yield at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    elif isinstance(window, list) and window and isinstance(window[0], str):
        yield from _starts(window[0])
    elif isinstance(window, list):
        for one in window:
            yield from _starts(one)


def _json(path: Any) -> dict[str, Any] | None:
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
