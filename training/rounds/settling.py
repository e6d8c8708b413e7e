"""What every round ends with: the verdict kept and logged, and what passed its gate promoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.artifact import read_champions
from training.cards.card import Card, write_card
from training.dataset import WorkspaceSource
from training.gating import Gate
from training.promotion import promote, record_gate
from training.registry import Registry


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one model in a training round.

    Attributes:
        version: of the artefact written; None where there was too little data.
        promoted: whether it became the champion just now.
        unchanged: whether data and seed gave the champion itself again.
        refused: why there is no model, or no model of some horizon.
        notes: what else people are told; `details` the same for a program.
    """

    model: str
    version: str | None = None
    promoted: bool = False
    unchanged: bool = False
    gate: Gate | None = None
    judged: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "unchanged": self.unchanged,
            "gate": self.gate.as_dict() if self.gate else None,
            "judged": self.judged,
            "refused": list(self.refused),
        } | ({"details": self.details} if self.details else {})


def open_for_another(registry: Registry, learned: Mapping[str, Any], champion: object) -> None:
    """Begins to open the registry, unless data and seed are the champion's, which then comes out again, unrecorded.

    Args:
        registry: that will keep the run.
        learned: the description of what was learned so far.
        champion: the model that is served; anything else where there is none.
    """
    known = getattr(champion, "description", {})
    if any(known.get(name) != learned[name] for name in ("fingerprint", "schema_version", "seed")):
        registry.open_meanwhile()


def settle(
    source: WorkspaceSource,
    registry: Registry,
    gate: Gate,
    *,
    name: str,
    version: str,
    record: Callable[[], str],
    card: Card | None = None,
) -> tuple[bool, bool]:
    """Promotes what passed, once it is on record; whether it did, and whether it was the champion all along.

    Args:
        source: whose workspace.
        registry: that keeps the run and the verdict.
        gate: the verdict.
        name: of the model.
        version: that was judged.
        record: puts the run on record and gives its id; a version that cannot be recorded is not promoted.
        card: of the version; kept beside it, and with the run.
    """
    artifacts = source.workspace.artifacts
    if read_champions(artifacts).get(name, {}).get("version") == version:
        return False, True
    record_gate(artifacts, name, version, gate)
    if card is not None:
        write_card(artifacts / name / version, card)
    run_id = record()
    registry.log_gate(run_id, gate.as_dict())
    promoted = gate.passed and promote(artifacts, name, version, schema=source.schema, reason="the gate passed")
    if promoted:
        registry.crown(name, version)
    return promoted, False


def tags_of(description: dict[str, Any]) -> dict[str, str]:
    """What a run is found by."""
    return {name: str(description[name]) for name in ("as_of", "fingerprint", "schema_version")}
