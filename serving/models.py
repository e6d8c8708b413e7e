"""The one door to training: the champions that are served now, swapped whole when champion.json or a name changes.

A swap replaces one reference, so a decision sees the old models or the new, never half of each. An artefact that is
refused leaves the one before it serving, and says so in `refusals`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.schema import FeatureSchema
from features.segment_names import SEGMENTS_FILE
from serving.expected import NOTHING_EXPECTED, Expected, ExpectedNow
from training.artifact import (
    CHAMPION_FILE,
    MODELS,
    NEXT_PURCHASE,
    RESPONSE,
    SEGMENTS,
    AnyModel,
    NextPurchaseModel,
    ResponseModel,
    SegmentsModel,
    load_champion,
)

_log = logging.getLogger("rapport.serving")

Fingerprint = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models of one moment; None where nothing was promoted yet or nothing can be loaded."""

    segments: SegmentsModel | None = None
    next_purchase: NextPurchaseModel | None = None
    response: ResponseModel | None = None
    refusals: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, models: Mapping[str, AnyModel], refusals: Iterable[str] = ()) -> ServedModels:
        """Those of their kind, by name."""
        segments, purchase, response = (models.get(name) for name in (SEGMENTS, NEXT_PURCHASE, RESPONSE))
        return cls(
            segments if isinstance(segments, SegmentsModel) else None,
            purchase if isinstance(purchase, NextPurchaseModel) else None,
            response if isinstance(response, ResponseModel) else None,
            tuple(refusals),
        )

    @property
    def loaded(self) -> dict[str, AnyModel]:
        """Model name → model, of those that are loaded."""
        models: tuple[AnyModel | None, ...] = (self.segments, self.next_purchase, self.response)
        return {model.name: model for model in models if model is not None}

    @property
    def versions(self) -> dict[str, str]:
        """Model name → version, of those that are loaded."""
        return {name: model.version for name, model in self.loaded.items()}

    @property
    def expected(self) -> Expected:
        """What actions are expected to earn: by the response model, where there is one."""
        return NOTHING_EXPECTED if self.response is None else ExpectedNow(self.response)


class ModelDoor:
    """Holds the served models; `refresh` looks whether champion.json or segments.yaml changed, as a watcher does."""

    def __init__(self, artifacts: Path, schema: FeatureSchema) -> None:
        self._artifacts = artifacts
        self._champions, self._names = artifacts / CHAMPION_FILE, artifacts.parent / SEGMENTS_FILE
        self._schema = schema
        self._seen: Fingerprint = ()
        self._served = ServedModels()
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None
        self.refresh()

    @property
    def served(self) -> ServedModels:
        """What to score with now."""
        return self._served

    def refresh(self) -> bool:
        """Loads the champions if champion.json or segments.yaml is another file than when it was last read.

        Returns:
            Whether what is served has changed.
        """
        with self._one_at_a_time:
            found = self._fingerprint()
            if found == self._seen:
                return False
            before = self._served
            self._served = self._load(before)
            self._seen = found
            return self._served != before

    def watch(self, *, every_seconds: float) -> None:
        """Refreshes in a background thread until `close`."""

        def look() -> None:
            while not self._stop.wait(every_seconds):
                try:
                    self.refresh()
                except OSError as fault:  # a disk that is away for a while; what is served stays
                    _log.warning("champion.json could not be looked at: %s", fault)

        self._watcher = threading.Thread(target=look, name="rapport-model-watcher", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Ends the watcher."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()

    def _fingerprint(self) -> Fingerprint:
        """Which files there are: of the champions, and of what the brand calls its segments."""
        return _looked_at(self._champions), _looked_at(self._names)

    def _load(self, before: ServedModels) -> ServedModels:
        refusals: list[str] = []
        models = before.loaded
        for name in MODELS:
            try:
                model = load_champion(self._artifacts, name, self._schema)
            except Exception as refusal:  # whatever is wrong with an artefact, it stops no decision
                _log.warning("the champion of %s is refused: %s", name, refusal)
                refusals.append(f"{name}: {refusal}")
                continue
            if model is None:
                models.pop(name, None)
            else:
                models[name] = model
        return ServedModels.of(models, refusals)


def _looked_at(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
