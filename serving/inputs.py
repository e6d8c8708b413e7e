"""What the decisions of one request take from outside, beside the request and the customer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from serving.expected import NOTHING_EXPECTED, Expected
from serving.next_question.asking import NOT_ASKING, Asking
from serving.values import Rates


class Inputs(msgspec.Struct, frozen=True):
    """What the decisions of one request take from outside, beside the request and the customer.

    Attributes:
        decision_ids: one a place that is asked for.
        at: the instant.
        draws: one a slot, over all places in their order.
        rates: as they stand.
        versions: of every input, by name.
        new: the exposures so far of actions that have not had those that exploration gives them.
        asking: what the customer may be asked, and what that would tell.
        expected: what the response model says of actions.
    """

    decision_ids: tuple[str, ...]
    at: datetime
    draws: tuple[float, ...]
    rates: Rates
    versions: Mapping[str, str]
    new: Mapping[str, int] = msgspec.field(default_factory=dict)
    asking: Asking = NOT_ASKING
    expected: Expected = NOTHING_EXPECTED
