"""The door to brand.yaml and catalogue.yaml: what decisions are made with now, swapped whole when a file changes.

A swap replaces one reference, so a decision sees the old catalogue or the new, never half of each. What is wrong in a
file leaves everything as it was, and is told in `refusal`; so is a change of brand.yaml that a running server cannot
follow. Each process has a door of its own and looks for itself.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from features.brand import Brand
from features.faults import CallersMistake, Fault, InvalidFile
from features.versions import BrandFile, CheckedFiles, checked_brand, last_good, read_checked
from features.workspace import Workspace
from serving.clocks import Clock, utc_now

_log = logging.getLogger("rapport.serving")

Stock = TypeVar("Stock")
Fingerprint = tuple[tuple[int, int, int] | None, ...]

SETTLED_SECONDS = 0.3
"""For how long a file has to stand still before it is read: an editor may be in the middle of writing it."""

FOLLOWED = frozenset(
    (
        "default_locale",
        "locales",
        "channels",
        "placements",
        "policy",
        "exploration",
        "experiment",
        "contact_policy",
        "intents",
        "link_hosts",
    )
)
"""The keys of brand.yaml that a running server follows. The others are in what was computed, stored or trained before:
features, segments, holdout, counted rates, armed moments."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why what stands on disk is not in use."""

    at: datetime
    path: Path
    problem: str
    faults: tuple[Fault, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready keys and values."""
        return {
            "file": self.path.name,
            "refused_at": self.at.isoformat(),
            "problem": self.problem,
            "faults": [
                {"line": fault.line, "where": fault.where, "problem": fault.problem, "rule": fault.rule}
                | ({"closest": fault.closest} if fault.closest else {})
                for fault in self.faults
            ],
        }


class CatalogueDoor(Generic[Stock]):
    """Holds what is made of the two files; `refresh` looks whether one changed, a watcher does so in the background.

    Args:
        workspace: whose files.
        make: makes of sound files what decisions use. It runs in the thread that refreshes.
        clock: when something was taken into use or refused.
        falls_back: start with the versions last in use where a file is wrong now, instead of not at all: for a worker
            that is started again by itself.

    Raises:
        InvalidFile: a file is wrong at the start, and nothing is there to fall back to.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        make: Callable[[CheckedFiles], Stock],
        clock: Clock = utc_now,
        falls_back: bool = False,
    ) -> None:
        self._workspace, self._make, self._clock = workspace, make, clock
        self._paths = str(workspace.brand_file), str(workspace.catalogue_file)
        self._refusals: tuple[Refusal, ...] = ()
        self._seen = self._pending = self._fingerprint()
        self._pending_since = 0.0
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        files = self._at_start(falls_back=falls_back)
        self._held = self._taken(files)

    @property
    def stock(self) -> Stock:
        """What to decide with now."""
        return self._held[1]

    @property
    def files(self) -> CheckedFiles:
        """The files that it was made of."""
        return self._held[0]

    @property
    def in_use_since(self) -> datetime:
        """When this process took them into use."""
        return self._held[2]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why a file on disk is not in use; empty where both are."""
        return self._refusals

    def refresh(self) -> bool:
        """Takes the files into use if they are others than when they were last read, and have stood still.

        Returns:
            Whether what is in use has changed.
        """
        found = self._fingerprint()
        if found == self._seen:
            self._pending = found
            return False
        if not self._one_at_a_time.acquire(blocking=False):
            return False
        try:
            return self._look(found)
        finally:
            self._one_at_a_time.release()

    @property
    def is_waiting(self) -> bool:
        """Whether a changed file is waited for to stand still."""
        return self._pending != self._seen

    def watch(self, *, every_seconds: float) -> None:
        """Refreshes in a background thread until `close`."""

        def look() -> None:
            while not self._stop.wait(SETTLED_SECONDS if self.is_waiting else every_seconds):
                try:
                    self.refresh()
                except OSError as fault:  # a disk that is away for a while; what is in use stays
                    _log.warning("brand.yaml and catalogue.yaml could not be looked at: %s", fault)

        self._watcher = threading.Thread(target=look, name="rapport-catalogue-watcher", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Ends the watcher."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()

    def as_dict(self) -> dict[str, Any]:
        """What is in use and what is refused, JSON-ready."""
        files, _, since = self._held
        return {
            "versions": files.versions,
            "in_use_since": since.isoformat(),
            "n_actions": len(files.catalogue.actions),
            "refused": [refusal.as_dict() for refusal in self._refusals],
        }

    def _look(self, found: Fingerprint) -> bool:
        now = time.monotonic()
        if found != self._pending:
            self._pending, self._pending_since = found, now
            return False
        if now - self._pending_since < SETTLED_SECONDS:
            return False
        refusals: list[Refusal] = []
        changed = self._changed(refusals)
        self._refusals, self._seen = tuple(refusals), found
        for refusal in refusals:
            _log.warning("the last good version stays in use. %s", refusal.problem)
        return changed

    def _changed(self, refusals: list[Refusal]) -> bool:
        """Takes over what can be taken over."""
        before = self._held[0]
        brand = self._brand_to_use(before, refusals)
        try:
            files = read_checked(self._workspace, brand=brand)
            if files == before:
                return False
            self._held = self._taken(files)
        except Exception as wrong:  # whatever is wrong with a file, it stops no decision
            refusals.append(self._refusal(self._workspace.catalogue_file, wrong))
            return False
        versions = files.versions
        _log.info("brand.yaml %s, catalogue.yaml %s are in use", versions["brand"][:12], versions["catalogue"][:12])
        return True

    def _brand_to_use(self, before: CheckedFiles, refusals: list[Refusal]) -> BrandFile:
        """What brand.yaml says, or what it said before where that cannot be followed."""
        path, kept = self._workspace.brand_file, (before.brand, before.brand_bytes)
        try:
            brand, content = checked_brand(self._workspace)
        except Exception as wrong:
            refusals.append(self._refusal(path, wrong))
            return kept
        if changed := _not_followed(before.brand, brand):
            problem = (
                f"{path} changes {', '.join(changed)}, which a running server does not follow: features, models, "
                "counts and armed moments rest on them. Restart 'rapport serve'."
            )
            refusals.append(Refusal(self._clock(), path, problem))
            return kept
        return brand, content

    def _taken(self, files: CheckedFiles) -> tuple[CheckedFiles, Stock, datetime]:
        stock = self._make(files)
        files.keep(self._workspace)  # before the first decision that names them
        return files, stock, self._clock()

    def _at_start(self, *, falls_back: bool) -> CheckedFiles:
        try:
            return read_checked(self._workspace)
        except CallersMistake as wrong:
            kept = last_good(self._workspace) if falls_back else None
            if kept is None:
                raise
            self._refusals = (self._refusal(self._workspace.catalogue_file, wrong),)
            _log.warning("started with the versions last in use. %s", wrong)
            return kept

    def _refusal(self, path: Path, wrong: Exception) -> Refusal:
        if isinstance(wrong, InvalidFile):
            return Refusal(self._clock(), wrong.path, str(wrong), wrong.faults)
        return Refusal(self._clock(), path, str(wrong))

    def _fingerprint(self) -> Fingerprint:
        return tuple(map(_stat, self._paths))


def _not_followed(before: Brand, brand: Brand) -> list[str]:
    names = (name for name in Brand.model_fields if name not in FOLLOWED)
    return [name for name in names if getattr(before, name) != getattr(brand, name)]


def _stat(path: str) -> tuple[int, int, int] | None:
    """Of a path as text: this runs in every decision that is made without a watcher."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
