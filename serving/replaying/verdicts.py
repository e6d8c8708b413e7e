"""What a replay found: the same bytes, what exactly differs, or why it cannot be made once more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["same", "differs", "cannot", "withdrawn", "erased"]

IN_WORDS: Mapping[Status, str] = {
    "same": "Made once more, the decision is the same, byte for byte.",
    "differs": "Made once more, the decision differs from its record.",
    "cannot": "The decision cannot be made once more.",
    "withdrawn": "The decision cannot be made once more: the customer has withdrawn what it was made from.",
    "erased": "The decision cannot be made once more: its customer was erased, and the record with them.",
}
MOST_TOLD = 40
_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place of the record in which the replay says something else."""

    at: str  # a JSON pointer
    recorded: object
    replayed: object

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"at": self.at, "recorded": self.recorded, "replayed": self.replayed}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a replay found.

    Attributes:
        decision_id: which decision.
        status: `same` where the canonical JSON has the same bytes.
        differences: of `differs`, every place.
        reasons: of `cannot` and `withdrawn`, everything that is in the way.
        notes: what has changed since without changing this decision.
    """

    decision_id: str
    status: Status
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether it is the same, byte for byte."""
        return self.status == "same"

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "decision_id": self.decision_id,
            "status": self.status,
            "in_words": IN_WORDS[self.status],
            "differences": [one.as_dict() for one in self.differences],
            "reasons": list(self.reasons),
            "notes": list(self.notes),
        }


def compared(decision_id: str, *, recorded: str, replayed: str, notes: Sequence[str] = ()) -> Verdict:
    """The verdict on two canonical JSONs."""
    if recorded == replayed:
        return Verdict(decision_id, "same", notes=tuple(notes))
    differences = tuple(differences_between(json.loads(recorded), json.loads(replayed)))
    if not differences:
        notes = (*notes, "Both say the same; only the bytes differ, as another Rapport would have written them.")
    return Verdict(decision_id, "differs", differences=differences, notes=tuple(notes))


def differences_between(recorded: Any, replayed: Any, *, at: str = "") -> Iterator[Difference]:
    """Every place, by JSON pointer, in which two JSON values are not the same."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in sorted({*recorded, *replayed}):
            inside = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from differences_between(recorded.get(name, _ABSENT), replayed.get(name, _ABSENT), at=inside)
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for place in range(max(len(recorded), len(replayed))):
            ours = recorded[place] if place < len(recorded) else _ABSENT
            theirs = replayed[place] if place < len(replayed) else _ABSENT
            yield from differences_between(ours, theirs, at=f"{at}/{place}")
    elif type(recorded) is not type(replayed) or recorded != replayed:
        yield Difference(at, recorded, replayed)


def as_text(verdict: Verdict) -> str:
    """The verdict for people."""
    lines = [f"{verdict.decision_id}: {IN_WORDS[verdict.status]}"]
    lines += [f"  - {reason}" for reason in verdict.reasons]
    lines += [
        f"  {one.at}: recorded {_shown(one.recorded)}, now {_shown(one.replayed)}"
        for one in verdict.differences[:MOST_TOLD]
    ]
    if len(verdict.differences) > MOST_TOLD:
        lines.append(f"  … and {len(verdict.differences) - MOST_TOLD} more; --json tells all.")
    lines += [f"  note: {note}" for note in verdict.notes]
    return "\n".join(lines)


def _shown(value: object) -> str:
    text = value if value == _ABSENT else json.dumps(value, ensure_ascii=False)
    return str(text) if len(str(text)) <= 120 else f"{str(text)[:119]}…"
