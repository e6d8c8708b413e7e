"""A decision request as it was sent: read, or refused with everything that is wrong with it at once.

What no brand would take (a wrong type, a limit of 0) does not hide what this brand does not have: the wrong parts are
left out, and what is left is checked against the brand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import ValidationError

from features.brand import Brand
from serving.problems import wrong_fields
from serving.questions import refuse_wrong_decision
from serving.refusals import RequestRefused, WrongField
from serving.schemas import DecisionRequest

_ONE_OF = (
    frozenset({"customer_id", "anonymous_id"}),
    frozenset({"placement", "placements", "channel", "channels"}),
)
"""Fields that stand for one another: without the wrong one, the brand would miss it, or take another's absence ill."""

Place = tuple[str | int, ...]


def asked_of(body: bytes | str, *, brand: Brand, actions: Collection[str]) -> DecisionRequest:
    """The request.

    Args:
        body: JSON.
        brand: whose placements, channels and traits hold.
        actions: every action of its catalogue, by id.

    Raises:
        RequestRefused: its shape is wrong; with what is wrong with the rest of it. A request of the right shape is
            checked against the brand where it is decided.
    """
    try:
        return DecisionRequest.model_validate_json(body)
    except ValidationError as error:
        wrong = wrong_fields(error, DecisionRequest)
        places = [details["loc"] for details in error.errors(include_url=False)]
        rest = _faults_of_rest(body, places, brand=brand, actions=actions) if all(places) else []
    raise RequestRefused([*wrong, *rest])


def _faults_of_rest(
    body: bytes | str, places: Sequence[Place], *, brand: Brand, actions: Collection[str]
) -> list[WrongField]:
    told = json.loads(body)
    left_out = {_without(told, place) for place in places}
    try:
        refuse_wrong_decision(DecisionRequest.model_validate_json(json.dumps(told)), brand, actions=actions)
    except ValidationError:  # as where something is required beside what was left out
        return []
    except RequestRefused as refusal:
        return [fault for fault in refusal.faults if not any(_is_of(fault.pointer, place) for place in left_out)]
    return []


def _without(told: dict[str, Any], place: Place) -> Place:
    """Takes the wrong part out, the whole of a list that holds it so that no other part moves; gives what went."""
    within: Any = told
    for depth, part in enumerate(place[:-1]):
        deeper = within.get(part) if isinstance(within, dict) else None
        if not isinstance(deeper, dict):
            place = place[: depth + 1]
            break
        within = deeper
    if isinstance(within, dict):
        within.pop(place[-1], None)
    return place


def _is_of(pointer: str, left_out: Place) -> bool:
    """Whether a fault is of what was left out, or comes of its absence."""
    at = "".join(f"/{part}" for part in left_out)
    if pointer == at or pointer.startswith(f"{at}/") or at.startswith(f"{pointer}/"):
        return True
    first = pointer.split("/")[1] if "/" in pointer else pointer
    return any(left_out[0] in group and first in group for group in _ONE_OF)
