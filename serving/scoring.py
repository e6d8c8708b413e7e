"""What the models say of customers now, or why they say nothing; one customer is a batch of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from features.brand import Brand
from features.derive import MISSING_INSTANT, derive, stage_of
from features.packing import CustomerState, Missing
from features.schema import FeatureSchema
from serving.ledger_rows import microseconds
from serving.models import ServedModels
from serving.offers import Scores
from serving.schemas import TraitValue
from serving.told import lay_over
from training.artifact import Coming

UNKNOWN_CUSTOMER = "unknown_customer"
FEATURES_STALE = "features_stale"
NO_MODEL = "no_model"

Row = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]  # vector and instants, of one or a matrix of many


class Customer(msgspec.Struct, frozen=True):
    """What is stored of a customer, with what the caller knows right now beside it."""

    customer_key: int
    state: CustomerState | Missing
    told: Mapping[str, TraitValue] = msgspec.field(default_factory=dict)


class ScoredCustomer(msgspec.Struct, frozen=True):
    """A customer with model inputs and scores.

    Attributes:
        inputs: (len(schema.model_inputs),), NaN where unknown; all but what was told where the stored row is stale.
        age_seconds: of the stored row; None where there is none.
        coming: what next purchase says beyond its horizons, worked out where it is asked for; None where nobody can.
    """

    customer: Customer
    scores: Scores
    inputs: npt.NDArray[np.float32]
    age_seconds: float | None
    coming: Callable[[], Coming | None] | None = None

    @property
    def is_known(self) -> bool:
        """Whether current features were there to score with."""
        return self.scores.fallback_reason in (None, NO_MODEL)


def middle_horizon(horizons_days: Sequence[int]) -> int:
    """The horizon that `purchase_propensity` speaks of where no horizon is named."""
    return sorted(horizons_days)[len(horizons_days) // 2]


def score_customers(
    customers: Sequence[Customer], *, models: ServedModels, schema: FeatureSchema, brand: Brand, at: datetime
) -> list[ScoredCustomer]:
    """Segment, stage and propensities of each customer at an instant.

    A stale row gives the funnel stage and nothing else: its counts are of another time. What the caller tells of a
    customer whom we do not know is enough for a segment, never for a purchase propensity.
    """
    at_us = microseconds(at)
    oldest = timedelta(days=brand.freshness.features_days)
    reasons = [_reason(customer, at=at, oldest=oldest) for customer in customers]
    rows = [_row(customer, schema=schema, brand=brand, at_us=at_us) for customer in customers]
    stages = stage_of(*_stacked(rows), at_us, schema, funnel=brand.funnel)
    for i, (customer, reason) in enumerate(zip(customers, reasons, strict=True)):
        if reason == FEATURES_STALE:
            forgotten = replace(customer, state=Missing(FEATURES_STALE))
            rows[i] = _row(forgotten, schema=schema, brand=brand, at_us=at_us)
    inputs = derive(*_stacked(rows), at_us, schema)
    segments = models.segments.predict(inputs).tolist() if models.segments else None
    purchases = models.next_purchase.predict(inputs) if models.next_purchase else None
    likely = None if purchases is None else purchases.tolist()
    middle = middle_horizon(brand.horizons_days)
    scored = []
    for i, (customer, reason) in enumerate(zip(customers, reasons, strict=True)):
        segment: str | None = None
        segment_probability: float | None = None
        if models.segments is not None and segments is not None and (reason is None or customer.told):
            probabilities = segments[i]
            segment_probability = max(probabilities)
            segment = models.segments.segment_ids[probabilities.index(segment_probability)]
        propensities: tuple[tuple[int, float], ...] = ()
        coming = None
        if models.next_purchase is not None and purchases is not None and likely is not None and reason is None:
            propensities = tuple(zip(models.next_purchase.horizons_days, likely[i], strict=True))
            coming = partial(models.next_purchase.coming, inputs[i : i + 1], said=purchases[i : i + 1])
        if reason is None and (segments is None or purchases is None):
            reason = NO_MODEL
        scores = Scores(
            stage=str(stages[i]),
            segment=segment,
            segment_probability=segment_probability,
            propensities=propensities,
            purchase_propensity=dict(propensities).get(middle),
            fallback_reason=reason,
        )
        scored.append(ScoredCustomer(customer, scores, inputs[i], _age_seconds(customer, at), coming))
    return scored


def _reason(customer: Customer, *, at: datetime, oldest: timedelta) -> str | None:
    """Why the stored row cannot be used, or None."""
    if isinstance(customer.state, Missing):
        return customer.state.reason
    if at - customer.state.as_of > oldest:
        return FEATURES_STALE
    return None


def _stacked(rows: Sequence[Row]) -> Row:
    """Rows as matrices; of one row there is nothing to copy."""
    if len(rows) == 1:
        return rows[0][0][np.newaxis], rows[0][1][np.newaxis]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def _row(customer: Customer, *, schema: FeatureSchema, brand: Brand, at_us: int) -> Row:
    if isinstance(customer.state, CustomerState):
        vector, instants = customer.state.vector, customer.state.instants
    else:
        vector = np.full(len(schema.numeric), np.nan, dtype=np.float32)
        instants = np.full(len(schema.instants), MISSING_INSTANT, dtype=np.int64)
    if customer.told:
        return lay_over(vector, instants, customer.told, brand=brand, schema=schema, at_us=at_us)
    return vector, instants


def _age_seconds(customer: Customer, at: datetime) -> float | None:
    if isinstance(customer.state, Missing):
        return None
    return (at - customer.state.as_of).total_seconds()
