"""What the verb `dead-letters` does: reads the table, and sends its calls through again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.database import connect
from features.faults import CallersMistake, closest_name
from features.letter_counts import letter_counts
from features.workspace import Workspace
from serving.ingest.calls import Context
from serving.ingest.conversions import Conversions
from serving.ingest.dead_letters import DeadLetter, DeadLetters
from serving.ingest.judging import Arrival, Judge, Judged, Letter, Taken
from serving.ingest.told import told_letter
from serving.ingest.verdicts import LETTER_REASONS
from serving.ingest.work import write_calls
from serving.joining.tokens import open_mint
from serving.ledger import Ledger
from serving.settings import read_settings

AT_ONCE = 500
_FOR_EVER_US = 2**62


def letters_of(workspace: Workspace, *, reason: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest dead letters, each as an object for a program.

    Raises:
        CallersMistake: there is no such reason.
    """
    with closing(connect(workspace.database)) as connection:
        _check_reason(connection, reason)
        return [told_letter(letter) for letter in DeadLetters(connection).newest(reason=reason, limit=limit)]


def replay_letters(
    workspace: Workspace, *, numbers: Sequence[int] | None, reason: str | None, any_time: bool
) -> dict[str, Any]:
    """Sends dead letters through again, by the brand.yaml of now.

    What is taken leaves the list in the transaction that writes it, so that a crash loses nothing and repeats nothing.
    It counts as known from now on, and happened when it happened: its clock was corrected when it first arrived.

    Args:
        workspace: whose.
        numbers: only these.
        reason: only those with this reason.
        any_time: also what happened longer ago than live events may have.

    Raises:
        CallersMistake: there is no dead letter of such a number, or no such reason.
    """
    settings = read_settings()
    limits = settings.ingest_limits
    brand = load_brand(workspace)
    mint = open_mint(workspace.state, secret=settings.token_secret)
    judge = Judge(brand, limits._replace(past_us=_FOR_EVER_US) if any_time else limits, mint)
    conversions = Conversions(brand, load_catalogue(workspace, brand))
    with closing(connect(workspace.database)) as connection:
        _check_reason(connection, reason)
        there = DeadLetters(connection).numbers(reason=reason)
    if numbers is not None:
        if missing := sorted(set(numbers) - set(there)):
            raise CallersMistake(
                f"Asked to replay dead letter {missing[0]}, but there is none of that number"
                f"{f' with the reason {reason!r}' if reason else ''}. 'rapport dead-letters list' shows them all."
            )
        there = sorted(set(numbers))
    told: dict[str, Any] = {"accepted": 0, "duplicates": 0, "still_dead": []}
    ledger = Ledger(workspace.database)
    try:
        for start in range(0, len(there), AT_ONCE):
            numbers = there[start : start + AT_ONCE]
            _add(told, ledger.write(partial(_replay, numbers=numbers, judge=judge, conversions=conversions)))
    finally:
        ledger.close()
    return told


def _check_reason(connection: sqlite3.Connection, reason: str | None) -> None:
    if reason is None or reason in LETTER_REASONS:
        return
    counts = letter_counts(connection)
    if reason in counts:  # of another version
        return
    closest = closest_name(reason, (*LETTER_REASONS, *counts))
    hint = f" Closest: '{closest}'." if closest else ""
    there = ", ".join(f"{name} ({n:,})" for name, n in counts.items()) or "none"
    raise CallersMistake(
        f"Asked for dead letters with the reason '{reason}', which there is not.{hint} There are: {there}. The reasons "
        f"are: {', '.join(LETTER_REASONS)}."
    )


def _replay(
    connection: sqlite3.Connection, *, numbers: Sequence[int], judge: Judge, conversions: Conversions
) -> dict[str, Any]:
    letters = DeadLetters(connection)
    found = [letter for number in numbers if (letter := letters.of(number)) is not None]
    now_us = time.time_ns() // 1_000
    judged = [(letter, _judged_again(judge, letter, now_us=now_us)) for letter in found]
    taken = [(letter, one) for letter, one in judged if isinstance(one, Taken)]
    written = write_calls(connection, taken=[one for _, one in taken], letters=(), conversions=conversions)
    letters.remove([letter.number for letter, _ in taken])
    still = [(letter, one.verdict) for letter, one in judged if isinstance(one, Letter)]
    for letter, verdict in still:
        letters.say_again(letter.number, reason=str(verdict.reason), detail=str(verdict.detail))
    n_new = sum(log_seq is not None for log_seq in written.log_seqs)
    return {
        "accepted": n_new,
        "duplicates": len(taken) - n_new,
        "still_dead": [
            {"number": letter.number, "reason": verdict.reason, "detail": verdict.detail} for letter, verdict in still
        ],
    }


def _judged_again(judge: Judge, letter: DeadLetter, *, now_us: int) -> Judged:
    """Judged by the rules of now; known from now on, by a clock that was corrected when it first arrived."""
    context = None if letter.context is None else msgspec.json.decode(letter.context, type=Context)
    arrival = Arrival(
        now_us, letter.received_at_us, letter.sent_at_us, letter.type, context, message_id=letter.message_id
    )
    return judge.judge(letter.body, arrival)


def _add(told: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        told[name] += value
