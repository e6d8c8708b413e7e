"""What a look at the champions found: for people, for programs, and as the file that reports and metrics read.

`lake/drift/day=YYYY-MM-DD/drift.json` is documented in docs/drift.md; it is replaced whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.workspace import Workspace
from training.drift.moves import CUSTOMERS, GONE, TOO_FEW, WATCH, Move
from training.drift.outcomes import OFF, RATE, Outcome

RETRAIN, WATCHED, STEADY, TOO_LITTLE, UNKNOWN = "retrain", "watch", "steady", "too_little", "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why to train anew.

    Attributes:
        code: no_orders, does_not_fit, feature_moved, feature_gone, feature_came, score_moved or off.
        name: of the input, the score, or what was said; empty of no_orders and does_not_fit.
        then: what was: the share unknown, or what was said; None where there is no such number.
        now: what is.
        told: the whole, in words.
    """

    code: str
    name: str
    then: float | None
    now: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Looked:
    """One champion.

    Attributes:
        status: no_orders, retrain, watch, steady, too_little or unknown.
        days: since its training day.
        notes: what could not be looked at, in words.
    """

    model: str
    version: str
    trained_at: datetime
    days: float
    n_then: int = 0
    n_now: int = 0
    status: str = UNKNOWN
    reasons: tuple[Reason, ...] = ()
    moves: tuple[Move, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The state, or the gravest reason, for a line of a log."""
        if not self.reasons:
            return self.status
        return f"train anew, {self.reasons[0].told}" if self.status == RETRAIN else self.reasons[0].told

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "model": self.model,
            "version": self.version,
            "trained_at": self.trained_at.isoformat(),
            "days": round(self.days, 2),
            "n_then": self.n_then,
            "n_now": self.n_now,
            "status": self.status,
            "reasons": [asdict(one) for one in self.reasons],
            "moves": [one.as_dict() for one in self.moves],
            "outcomes": [one.as_dict() for one in self.outcomes],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """All champions, as of one instant.

    Attributes:
        no_order_since: the last order, where orders have stopped; else None.
    """

    as_of: datetime
    models: tuple[Looked, ...]
    no_order_since: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a program, and for the file."""
        return {
            "as_of": self.as_of.isoformat(),
            "no_order_since": self.no_order_since.isoformat() if self.no_order_since else None,
            "models": [one.as_dict() for one in self.models],
        }


def reasons_of(moves: Sequence[Move], outcomes: Sequence[Outcome]) -> tuple[Reason, ...]:
    """Why to train anew: what came otherwise than it was said, then scores, then inputs, the farthest first.

    Args:
        moves: of one version.
        outcomes: the champion's newest.
    """
    off = [_of_outcome(one) for one in outcomes if one.verdict == OFF]
    moved = sorted((one for one in moves if one.is_a_reason), key=lambda one: (one.kind == "feature", -one.psi))
    return (*off, *map(_of_move, moved))


def status_of(moves: Sequence[Move] | None, outcomes: Sequence[Outcome], reasons: Sequence[Reason]) -> str:
    """One word on a version; too_little also where nothing at all could be compared.

    Inputs that moved without moving what is said change nothing: watch is when scores begin to move.

    Args:
        moves: of the version; None where it was made before spreads were kept, and none could be looked for.
        outcomes: the champion's newest.
        reasons: to train anew.
    """
    if reasons:
        return RETRAIN
    if moves is None:
        return UNKNOWN
    verdicts = [*(one.verdict for one in moves), *(one.verdict for one in outcomes)]
    if all(verdict == TOO_FEW for verdict in verdicts):
        return TOO_LITTLE
    return WATCHED if any(one.kind == "score" and one.verdict == WATCH for one in moves) else STEADY


def write_drift(workspace: Workspace, drift: Drift) -> Path:
    """Replaces the day's file in one step."""
    path = workspace.lake / "drift" / f"day={drift.as_of:%Y-%m-%d}" / "drift.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(drift.as_dict(), ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(path)
    return path


def _of_outcome(one: Outcome) -> Reason:
    number = "{:.1%}".format if one.unit == RATE else "{:.4g}".format
    slope = "" if one.slope is None else f", slope {one.slope:.2f} ± {1.96 * (one.slope_error or 0.0):.2f}"
    return Reason(
        "off",
        one.what,
        one.said,
        one.came,
        f"{one.what}: said {number(one.said)} on {one.said_at:%Y-%m-%d}, {number(one.came)} came "
        f"({number(one.low)} … {number(one.high)}{slope}; {one.n:,} rows)",
    )


def _would_be(one: Move, effect: float) -> str:
    if one.effect_unit == CUSTOMERS:
        return f"{effect:.0%} of customers would have another {one.effect_on}"
    return f"scores would be others by {effect:.2f} deviations"


def _of_move(one: Move) -> Reason:
    leans = "" if one.effect is None else f"; with it as it was, {_would_be(one, one.effect)}"
    if one.verdict == "moved":
        gap = "" if one.ks is None else f", KS {one.ks:.2f}"
        told = f"{one.name} moved: PSI {one.psi:.2f}{gap}{leans}"
        return Reason(f"{one.kind}_moved", one.name, None, one.psi, told)
    fewer = "fewer" if one.verdict == GONE else "more"
    told = (
        f"{one.name} is known of {fewer} customers: unknown of {one.unknown_then:.0%} on the training day, "
        f"{one.unknown_now:.0%} now{leans}. Look first whether what it is made from still comes"
    )
    return Reason(f"{one.kind}_{one.verdict}", one.name, one.unknown_then, one.unknown_now, told)
