"""What is wrong with something the caller gave us, said so that they can mend it.

CallersMistake(ValueError)     anything the caller can mend; the CLI exits with code 2
└── InvalidFile                a YAML file of the workspace with all its faults at once
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class CallersMistake(ValueError):  # noqa: N818 (it is what it says)
    """What was asked, what is wrong with the value, the rule, what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file: where it stands, what was found, the rule that it breaks."""

    where: str
    problem: str
    rule: str = ""
    line: int | None = None
    closest: str | None = None

    def __str__(self) -> str:
        place = f"line {self.line}: {self.where}" if self.line is not None else self.where
        rule = f" {self.rule}" if self.rule else ""
        return f"{place}: {self.problem}{rule}{_hint(self.closest)}"


class InvalidFile(CallersMistake):
    """Every fault of one file."""

    def __init__(self, path: Path | str, faults: Sequence[Fault]) -> None:
        self.path = Path(path)
        self.faults = tuple(faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__(f"{self.path} has {count}:\n{lines}")


def closest_name(name: str, names: Iterable[str]) -> str | None:
    """The valid name that a misspelt one most likely meant, or None where nothing is near."""
    matches = difflib.get_close_matches(name, list(names), n=1)
    return matches[0] if matches else None


def closest_hint(name: str, names: Iterable[str]) -> str:
    """The sentence that says so, a space before it; empty where nothing is near."""
    return _hint(closest_name(name, names))


def _hint(closest: str | None) -> str:
    return "" if closest is None else f" Closest: '{closest}'."
