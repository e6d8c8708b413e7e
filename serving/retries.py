"""The same decision_id again: the same question gets its answer again, another one is a conflict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from serving.ledger_rows import KeptAnswer
from serving.refusals import Conflict, WrongField
from serving.schemas import DecisionRequest


def decision_ids(request: DecisionRequest, new_id: Callable[[], str]) -> tuple[str, ...]:
    """One id a place: new ones, or the client's own, which the second place and further ones number on."""
    if request.decision_id is None:
        return tuple(new_id() for _ in request.asked)
    further = (f"{request.decision_id}.{number}" for number in range(2, len(request.asked) + 1))
    return (request.decision_id, *further)


def kept_for_retries(request: DecisionRequest, told: Mapping[str, Any]) -> KeptAnswer | None:
    """What to keep of a question and its answer; nothing where the client brought no id to ask again with."""
    if request.decision_id is None:
        return None
    return KeptAnswer(_fingerprint(request), json.dumps(told, ensure_ascii=False, allow_nan=False))


def as_before(request: DecisionRequest, kept: KeptAnswer) -> dict[str, Any]:
    """The answer that this decision_id got before.

    Raises:
        Conflict: the question was another, or its answer is not kept any more.
    """
    if not kept.question_sha256:
        rule = (
            f"'{request.decision_id}' was decided before, and its answer is not kept any more: it can be had again for "
            "a day. Send a new decision_id (or none: then we make one)."
        )
        raise Conflict([WrongField("/decision_id", rule)])
    if kept.question_sha256 != _fingerprint(request):
        rule = (
            f"'{request.decision_id}' was already used for another question. Repeat that question exactly to get its "
            "answer again, or send a new decision_id (or none: then we make one)."
        )
        raise Conflict([WrongField("/decision_id", rule)])
    told: dict[str, Any] = json.loads(kept.answer)
    return told


def _fingerprint(request: DecisionRequest) -> str:
    """Tells a retry from another question without keeping what the customer wrote."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
