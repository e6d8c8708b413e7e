"""The card of the segments: who they are, on which snapshots, how well they are assigned, their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from training.cards.card import Section, Table

USE = (
    "It puts every customer into one of a few named groups, at any moment, and for one who has only answered a "
    "question too. It is meant for reports and for choosing what to say.",
)
LIMITS = (
    "A group is a summary of behaviour and of what customers said, not a cause: that two groups buy differently does "
    "not show that a message makes them.",
    "A customer near a border is assigned with a probability, and may be in another group next week.",
    "It is no ground for refusing anybody a service, a price or credit.",
)


def sections_of(description: Mapping[str, Any], judged: Mapping[str, float]) -> list[Section]:
    """The middle of the card.

    Args:
        description: of the version, as in its model.json.
        judged: figures by name, on the snapshot that taught nothing.
    """
    groups = tuple(
        (one["id"], *_in_english(one), f"{one['share']:.1%}" if "share" in one else "—")
        for one in description["segments"]
    )
    return [
        Section("What it says, and for what", USE),
        Section("The segments", (), (Table(("id", "name", "what sets it apart", "share"), groups),)),
        Section("Data windows", (), (Table(("used to", "as of"), tuple(_windows(description["windows"]))),)),
        Section(
            "How good it is",
            ("On the snapshot that taught nothing. Log-loss is of the assigner, beside that of saying known shares.",),
            (Table(("figure", "value"), tuple((name, f"{value:g}") for name, value in judged.items())),),
        ),
        Section("Limits", LIMITS),
    ]


def _windows(windows: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for use, at in windows.items():
        yield use, str(at)[:10] if isinstance(at, str) else str(at)


def _in_english(segment: Mapping[str, Any]) -> tuple[str, str]:
    """Name and description, in English or the first language there is."""
    return _first(segment["names"]), _first(segment["descriptions"])


def _first(texts: Mapping[str, str]) -> str:
    return texts.get("en") or next(iter(texts.values()), "—")
