"""What an outcome moves beside its own row: rates, exposures, reservations, refusals, the limits of providers.

Design. Reports come in any order and more than once, so each effect asks what is known already: a failure takes back
what was said unless there is proof that it arrived, and proof that comes after a failure puts it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from serving.contact.store import expose, fail_unexposed, limit_carrier, note_click, note_conversion, refuse, release
from serving.joining.machines import is_too_fast
from serving.ledger_rows import COUNT_DECISIONS, DAY_US

SENT, DELIVERED, READ, FAILED, OPENED, CLICKED, REPLIED, REFUSED, REDEEMED, CONVERTED, UNSUBSCRIBED = (
    "sent",
    "delivered",
    "read",
    "failed",
    "opened",
    "clicked",
    "replied",
    "refused",
    "redeemed",
    "converted",
    "unsubscribed",
)
PROOFS = frozenset((DELIVERED, READ, OPENED, CLICKED, REPLIED, REFUSED, REDEEMED, UNSUBSCRIBED))
"""Nobody does these to a message that never came."""
TOGETHER_US = 1_000_000  # two links of one message within a second: a scanner follows them all

_COUNT_CONVERSION = """
INSERT INTO action_statistics VALUES (?, ?, ?, ?, 0, 1)
ON CONFLICT (segment, stage, action_id, decided_day) DO UPDATE SET n_converted = n_converted + 1
"""
_EVIDENCE = f"""
SELECT slot,
       max(outcome = ?1 AND goal IS ?2 AND occurred_at BETWEEN ?3 AND ?4),
       max(outcome IN ({", ".join(f"'{proof}'" for proof in sorted(PROOFS))})),
       max(outcome = 'failed' AND occurred_at BETWEEN ?3 AND ?4)
FROM outcomes WHERE decision_id = ?5 AND is_machine IS NOT 1 GROUP BY slot
"""
_NEWEST_DELIVERY = """
SELECT max(occurred_at) FROM outcomes WHERE decision_id = ? AND outcome IN ('sent', 'delivered') AND occurred_at <= ?
"""
_OTHER_LINK = """
SELECT 1 FROM outcomes WHERE decision_id = ?1 AND outcome = 'clicked' AND joined_by = 'token' AND outcome_id GLOB 's-*'
  AND occurred_at BETWEEN ?2 AND ?3 AND outcome_id <> ?4 AND outcome_id <> ?4 || '-m' LIMIT 1
"""
_ALL_OF_THEM = """
UPDATE OR REPLACE outcomes SET is_machine = 1, outcome_id = outcome_id || '-m'
WHERE decision_id = ?1 AND outcome = 'clicked' AND joined_by = 'token' AND outcome_id GLOB 's-*'
  AND is_machine IS NOT 1 AND occurred_at BETWEEN ?2 AND ?3
"""  # as a machine's from the start: the id is free for the person who comes in the same hour
_NO_CLICK = "UPDATE contacts SET clicked_at = NULL WHERE decision_id = ? AND clicked_at BETWEEN ? AND ?"


@dataclass(frozen=True, slots=True)
class Joined:
    """The decision, or the slot of it, that an outcome followed.

    Attributes:
        action_id: of the slot; of the first one where it is of all of them.
        actions: what each slot says.
        slot: that it is of; None where it is of the whole message.
        is_exact: it was named and not guessed.
    """

    decision_id: str
    customer_key: int
    arm: str
    action_id: str
    segment: str
    stage: str
    decided_at: int  # µs
    channel: str
    initiated_by: str
    actions: tuple[str, ...] = ()
    slot: int | None = None
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened, as far as it moves anything."""

    outcome: str
    at_us: int
    goal: str | None
    is_the_goal: bool  # a conversion to what the action was for
    reason: str | None
    retry_after_seconds: float | None
    attribution_us: int


class Evidence(NamedTuple):
    """What was known before of one slot: by what was said of it, and by what was said of the whole message."""

    was_counted: bool  # this outcome, for this goal, within the window
    has_proof: bool
    has_failed: bool


def last_instant(joined: Joined, happened: Happened) -> int:
    """Until when an outcome counts for the decision, µs."""
    return joined.decided_at + happened.attribution_us


def evidence_of(connection: sqlite3.Connection, joined: Joined, happened: Happened) -> dict[int, Evidence]:
    """What earlier outcomes say of each slot that this one is of; machines say nothing."""
    within = (joined.decided_at, last_instant(joined, happened))
    asked = (happened.outcome, happened.goal, *within, joined.decision_id)
    told = {slot: tuple(map(bool, found)) for slot, *found in connection.execute(_EVIDENCE, asked)}
    nothing = (False, False, False)
    of_all = told.get(None, nothing)
    slots = range(len(joined.actions)) if joined.slot is None else (joined.slot,)
    return {
        slot: Evidence(*(one or whole for one, whole in zip(told.get(slot, nothing), of_all, strict=True)))
        for slot in slots
    }


def apply_effects(
    connection: sqlite3.Connection, joined: Joined, happened: Happened, before: Mapping[int, Evidence]
) -> bool:
    """Moves what a person's or a provider's outcome moves; gives whether it was seen over a cap.

    Args:
        connection: in the transaction that has written the outcome.
        joined: the decision that it followed.
        happened: the outcome.
        before: what was known before it, of each slot that it is of.
    """
    is_in_time = joined.decided_at <= happened.at_us <= last_instant(joined, happened)
    if joined.arm != HOLDOUT and is_in_time:
        _count(connection, joined, happened, before)
    happened = replace(happened, at_us=max(happened.at_us, joined.decided_at))  # nobody saw it before it was decided
    over_cap = joined.is_exact and _move_exposure(connection, joined, happened, before)
    if happened.outcome == CLICKED:
        note_click(connection, joined.decision_id, at_us=happened.at_us, slot=joined.slot)
    elif happened.outcome == CONVERTED and is_in_time:
        note_conversion(connection, joined.decision_id, at_us=happened.at_us, slot=joined.slot)
    elif happened.outcome == REFUSED:
        reason = happened.reason or "not_now"
        refuse(connection, joined.decision_id, reason=reason, at_us=happened.at_us, slot=joined.slot)
    elif happened.outcome == FAILED and happened.retry_after_seconds and joined.channel:
        limit_carrier(
            connection,
            customer_key=joined.customer_key,
            channel=joined.channel,
            until_us=happened.at_us + int(happened.retry_after_seconds * 1_000_000),
            code=happened.reason or FAILED,
        )
    return over_cap


def _count(connection: sqlite3.Connection, joined: Joined, happened: Happened, before: Mapping[int, Evidence]) -> None:
    """A goal reached is a success; a message that failed to be delivered was never an attempt."""
    if happened.outcome == CONVERTED:
        if happened.is_the_goal and not any(known.was_counted for known in before.values()):
            connection.execute(_COUNT_CONVERSION, _cell(joined, joined.action_id))
        return
    n = -1 if happened.outcome == FAILED else 1
    if n == 1 and happened.outcome not in PROOFS:
        return
    for slot, known in before.items():  # the one that it names, or every one of a list that was sent as a whole
        if known.has_failed == (n == 1) and not known.has_proof and joined.actions[slot] != NOTHING:
            if n == -1 and fail_unexposed(connection, joined.decision_id, slot=slot):
                continue  # it was taken back already, when its reservation was over
            connection.execute(COUNT_DECISIONS, (*_cell(joined, joined.actions[slot]), n))


def _cell(joined: Joined, action_id: str) -> tuple[str, str, str, int]:
    return joined.segment, joined.stage, action_id, joined.decided_at // DAY_US


def _move_exposure(
    connection: sqlite3.Connection, joined: Joined, happened: Happened, before: Mapping[int, Evidence]
) -> bool:
    """A failure gives back what was reserved; whatever shows that the message was there exposes it."""
    if happened.outcome == FAILED:
        for slot in (slot for slot, known in before.items() if not known.has_proof):
            release(connection, joined.decision_id, at_us=happened.at_us, slot=slot)
        return False
    # A sending that is told late has failed since.
    slots = [slot for slot, known in before.items() if not (happened.outcome == SENT and known.has_failed)]
    exposed = [expose(connection, joined.decision_id, at_us=happened.at_us, slot=slot) for slot in slots]
    return any(is_over for told in exposed for _, is_over in told)


def is_of_a_machine(connection: sqlite3.Connection, joined: Joined, happened: Happened, outcome_id: str) -> bool:
    """Whether nobody can have been so fast: right after the message came, or on two of its links at once.

    Only where the brand spoke first: who has asked looks at the answer as it comes.
    """
    if joined.initiated_by != "brand" or happened.outcome not in (OPENED, CLICKED):
        return False
    told = connection.execute(_NEWEST_DELIVERY, (joined.decision_id, happened.at_us)).fetchone()[0]
    if is_too_fast(happened.at_us, since_us=max(joined.decided_at, told or 0)):
        return True
    if happened.outcome != CLICKED:
        return False
    within = (happened.at_us - TOGETHER_US, happened.at_us)
    if connection.execute(_OTHER_LINK, (joined.decision_id, *within, outcome_id)).fetchone() is None:
        return False
    connection.execute(_ALL_OF_THEM, (joined.decision_id, *within))
    return True


def unmark_click(connection: sqlite3.Connection, joined: Joined, happened: Happened) -> None:
    """Takes back the click of a scanner that was taken for a person's until it followed the next link."""
    if happened.outcome == CLICKED:
        connection.execute(_NO_CLICK, (joined.decision_id, happened.at_us - TOGETHER_US, happened.at_us))
