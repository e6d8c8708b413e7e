"""Dead letters in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from serving.ingest.dead_letters import DeadLetter
from serving.ingest.instants import DAY_US
from serving.ingest.keeping import Kept

SHOWN = 20


def told_letter(letter: DeadLetter) -> dict[str, Any]:
    """One dead letter as an object for a program."""
    return {
        "number": letter.number,
        "received_at": datetime.fromtimestamp(letter.received_at_us / 1e6, UTC).isoformat(),
        "reason": letter.reason,
        "detail": letter.detail,
        "type": letter.type,
        "message_id": letter.message_id,
        "user_id": letter.user_id,
        "anonymous_id": letter.anonymous_id,
        "previous_id": letter.previous_id,
        "body": letter.body.decode("utf-8", "replace"),
        "context": None if letter.context is None else json.loads(letter.context),
    }


def told_letters(letters: list[dict[str, Any]], *, kept: Kept) -> str:
    """A list of them for people, and which of them will not be in it for ever."""
    rule = f"Kept are the newest {kept.most:,}, each for {kept.past_us / DAY_US:g} days: the oldest go first."
    if not letters:
        return f"There are no dead letters. {rule}"
    lines = [
        f"{letter['number']:>6}  {letter['received_at'][:19]}  {letter['reason']:<24}  {_whose(letter):<24}  "
        f"{_harmless(letter['detail'])}"
        for letter in letters
    ]
    return "\n".join(
        [f"{'number':>6}  {'received (UTC)':<19}  {'reason':<24}  {'of':<24}  what is wrong", *lines, rule]
    )


def told_replay(found: dict[str, Any]) -> str:
    """What came of a replay, for people."""
    lines = [f"{found['accepted']:,} taken, {found['duplicates']:,} were there already."]
    still = found["still_dead"]
    if still:
        lines.append(f"{len(still):,} still cannot be taken:")
        lines += [f"{one['number']:>6}  {one['reason']:<24}  {_harmless(one['detail'])}" for one in still[:SHOWN]]
        lines += [f"        and {len(still) - SHOWN:,} more" for _ in still[SHOWN : SHOWN + 1]]
    return "\n".join(lines)


def _whose(letter: dict[str, Any]) -> str:
    return _harmless(letter["user_id"] or letter["anonymous_id"] or "nobody known")[:24]


def _harmless(text: str) -> str:
    """What a client sent, without what a terminal would take for a command."""
    return "".join(one if one.isprintable() else "�" for one in text)
