"""Which questions a person was asked already, so that none is asked twice and no conversation becomes an interview.

A question counts from its decision on, also while it is only reserved; one that was never shown was never asked. The
rows of a person are few: as many as there are traits, and those that were released.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from features.brand import Placement
from features.catalogue import Action
from serving.contact.windows import to_instant, to_us
from serving.eligibility import Suppressed

if TYPE_CHECKING:
    from serving.decision import Decision

ALREADY_ASKED = "already_asked"
ENOUGH_ASKED = "enough_asked"

SCHEMA = """
CREATE TABLE IF NOT EXISTS questions_asked (
    customer_key    INTEGER NOT NULL,
    trait           TEXT NOT NULL,
    decision_id     TEXT NOT NULL,
    slot            INTEGER NOT NULL,
    conversation_id TEXT,            -- as the caller named it
    asked_at        INTEGER NOT NULL,
    PRIMARY KEY (customer_key, decision_id, slot)
) STRICT, WITHOUT ROWID;
"""
UNNAMED_CONVERSATION = timedelta(hours=24)
"""Where the caller names no conversation, everything that was asked within so long is of one."""

_ASKED = """
SELECT q.trait, q.conversation_id, q.asked_at
FROM questions_asked AS q LEFT JOIN contacts AS c USING (decision_id, slot)
WHERE q.customer_key IN ({keys}) AND c.released_why IS NULL AND (c.open_until IS NULL OR c.open_until > ?)
ORDER BY q.asked_at, q.trait
"""


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """What a person was asked, as one decision sees it; two readings are equal where nothing was asked between.

    Attributes:
        traits: that they were asked for, ever.
        here_until_us: of each question of this conversation, until when it counts; None: as long as it goes on.
    """

    traits: frozenset[str] = frozenset()
    here_until_us: tuple[int | None, ...] = ()

    def n_here(self, at_us: int) -> int:
        """How many questions this conversation has had."""
        return sum(until is None or until > at_us for until in self.here_until_us)

    def again_at_us(self, *, at_most: int) -> int | None:
        """From when on another one may be asked, of a conversation that has had enough; None where that is unknown."""
        fewer = len(self.here_until_us) - at_most + 1  # so many have to be forgotten first
        ends = sorted(until for until in self.here_until_us if until is not None)
        return ends[fewer - 1] if 0 < fewer <= len(ends) and at_most > 0 else None

    def also(self, trait: str) -> AskedBefore:
        """With one more question, asked here and now."""
        return AskedBefore(self.traits | {trait}, (*self.here_until_us, None))

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"traits": sorted(self.traits), "here_until_us": list(self.here_until_us)}

    @classmethod
    def of_dict(cls, told: dict[str, Any]) -> AskedBefore:
        """What `as_dict` told of."""
        return cls(frozenset(told["traits"]), tuple(told["here_until_us"]))


NEVER_ASKED = AskedBefore()


def asked_enough(action: Action, placement: Placement, before: AskedBefore, *, at_us: int) -> Suppressed | None:
    """Why a question may not be asked (again), and when it may; None where it may.

    Args:
        action: the question.
        placement: how many there may be in one conversation.
        before: what the person was asked.
        at_us: now.
    """
    if action.asks in before.traits:
        return Suppressed(action.id, ALREADY_ASKED, detail=action.asks or "")
    at_most, n_here = placement.questions_per_conversation, before.n_here(at_us)
    if n_here < at_most:
        return None
    again = before.again_at_us(at_most=at_most)
    return Suppressed(
        action.id,
        ENOUGH_ASKED,
        detail=f"{n_here} of {at_most} in this conversation",
        eligible_at=None if again is None else to_instant(again),
        counter={"cap": "questions_per_conversation", "counted": n_here, "at_most": at_most},
    )


def read_asked(
    connection: sqlite3.Connection, keys: Sequence[int], *, at: datetime, conversation_id: str | None
) -> AskedBefore:
    """What a person was asked before.

    Args:
        connection: to read with; once more in the transaction that writes the decision.
        keys: every key of the person.
        at: when it is decided.
        conversation_id: in which; None where the caller does not say.
    """
    at_us, window_us = to_us(at), UNNAMED_CONVERSATION // timedelta(microseconds=1)
    rows = connection.execute(_ASKED.format(keys=", ".join(str(int(key)) for key in keys)), (at_us,)).fetchall()
    here: list[int | None] = []
    for _, conversation, asked_at in rows:
        if conversation_id is not None and conversation == conversation_id:
            here.append(None)
        elif (conversation_id is None or conversation is None) and asked_at + window_us > at_us:
            here.append(asked_at + window_us)
    return AskedBefore(frozenset(trait for trait, _, _ in rows), tuple(here))


def note_question(connection: sqlite3.Connection, decision: Decision, *, slot: int) -> None:
    """Keeps that a slot of a decision asks a question, if it does; in the transaction that writes the decision."""
    offer, situation = decision.slots[slot].offer, decision.situation
    if offer is None or offer.action.asks is None:
        return
    row = (
        situation.customer_key,
        offer.action.asks,
        situation.decision_id,
        slot,
        decision.prepared.conversation_id,
        to_us(situation.decided_at),
    )
    connection.execute("INSERT INTO questions_asked VALUES (?, ?, ?, ?, ?, ?)", row)
