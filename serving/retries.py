"""The same question again: it gets its answer again; another one under the same id or key is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from serving.kept import Before, Retry
from serving.refusals import Conflict, RequestRefused, WrongField
from serving.schemas import DecisionRequest

IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 255


def decision_ids(request: DecisionRequest, new_id: Callable[[], str]) -> tuple[str, ...]:
    """One id a place: new ones, or the client's own, which the second place and further ones number on."""
    return _own_ids(request) or tuple([new_id() for _ in request.asked])


def retry_of(request: DecisionRequest, idempotency_key: str | None = None) -> Retry | None:
    """By what this client would ask the same again; None where they brought nothing to ask again with.

    Raises:
        RequestRefused: the key is empty, too long, or of characters that a header does not carry.
    """
    if request.decision_id is None and idempotency_key is None:
        return None
    if idempotency_key is not None and not _is_sound(idempotency_key):
        rule = f"a key is 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID: one a question."
        raise RequestRefused([WrongField("", f"The header {IDEMPOTENCY_KEY} is not valid: {rule}")])
    return Retry(_fingerprint(request), _own_ids(request), idempotency_key)


def as_before(retry: Retry, before: Before) -> dict[str, Any]:
    """The answer that this question got before.

    Raises:
        Conflict: the question was another, or its answer is not kept any more.
        RequestRefused: the Idempotency-Key was used for another question.
    """
    if before.question_sha256 == retry.question_sha256:
        told: dict[str, Any] = json.loads(before.answer)
        return told
    if not before.by_key and before.decision_id in retry.decision_ids[1:]:
        rule = (
            f"'{before.decision_id}' is the id of another decision, and one of your places would get it: they number "
            f"on from '{retry.decision_ids[0]}'. Send a new decision_id (or none: then we make them)."
        )
        raise Conflict([WrongField("/decision_id", rule)])
    if not before.question_sha256:
        rule = (
            f"'{retry.idempotency_key if before.by_key else before.decision_id}' was decided before, and its answer is "
            "not kept any more: it can be had again for a day. Send a new decision_id (or none: then we make one)."
        )
        raise Conflict([WrongField("/decision_id", rule)])
    if before.by_key:
        rule = (
            f"The {IDEMPOTENCY_KEY} '{retry.idempotency_key}' was already used for another question in the last 24 "
            "hours. Repeat that question exactly to get its answer again, or send a new key."
        )
        raise RequestRefused([WrongField("", rule)])
    rule = (
        f"'{before.decision_id}' was already used for another question. Repeat that question exactly to get its "
        "answer again, or send a new decision_id (or none: then we make one)."
    )
    raise Conflict([WrongField("/decision_id", rule)])


def _own_ids(request: DecisionRequest) -> tuple[str, ...]:
    """The client's own id of each place, numbered on from the first one; none where they brought none."""
    if request.decision_id is None:
        return ()
    further = (f"{request.decision_id}.{number}" for number in range(2, len(request.asked) + 1))
    return (request.decision_id, *further)


def _is_sound(key: str) -> bool:
    return 1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()


def _fingerprint(request: DecisionRequest) -> str:
    """Tells a retry from another question without keeping what the customer wrote."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
