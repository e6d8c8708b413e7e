"""The decision as a pure function: no clock, no store, no randomness; they come in as arguments.

Order: arm, then what may be offered, then values, then the policy's distribution, then one recorded draw. Nothing after
the draw changes the action, so the logged probability is the one really acted on. Invariant: a personalised customer's
action is `distribution.take(draw)`, and its probability is that distribution's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from experiments.assignment import Assignment
from experiments.records import HOLDOUT
from features.brand import Placement, Policy
from features.catalogue import NOTHING
from serving.eligibility import Suppressed
from serving.policy import Distribution, distribution_over
from serving.values import Valuation

_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

NOTHING_ELIGIBLE = "nothing_eligible"
BASELINE_POLICY = "baseline"
FALLBACK_POLICY = "fallback"


@dataclass(frozen=True, slots=True)
class Situation:
    """Who is spoken to, where, when, and who speaks first."""

    decision_id: str
    customer_key: int
    decided_at: datetime
    placement: str
    initiated_by: Literal["customer", "brand"]
    channel: str
    locale_asked: str | None


@dataclass(frozen=True, slots=True)
class Scores:
    """What the models and the funnel rule say of the customer, or why the models said nothing."""

    stage: str
    segment: str | None = None
    segment_probability: float | None = None
    propensities: tuple[tuple[int, float], ...] = ()  # (horizon in days, P(buys within it)), horizons rising
    purchase_propensity: float | None = None  # over the brand's middle horizon
    fallback_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """What may be offered here and now, and what may not, by which rule."""

    candidates: tuple[Valuation, ...]
    suppressed: tuple[Suppressed, ...]
    answers: frozenset[str]  # those of the placement's baseline and fallback that can be rendered


@dataclass(frozen=True, slots=True)
class Decision:
    """One policy's choice for one customer at one instant, with everything that it rests on."""

    situation: Situation
    assignment: Assignment
    scores: Scores
    available: Availability
    policy: Policy
    policy_name: str
    distribution: Distribution
    draw: float
    action_id: str
    action_probability: float
    would_be_action_id: str | None
    fallback_reason: str | None
    versions: Mapping[str, str]

    @property
    def is_holdout(self) -> bool:
        """Whether this customer is kept from all personalisation."""
        return self.assignment.arm == HOLDOUT

    def as_dict(self) -> dict[str, Any]:
        """Every input and output, as JSON types."""
        situation, scores = self.situation, self.scores
        return {
            "decision_id": situation.decision_id,
            "customer_key": situation.customer_key,
            "decided_at": situation.decided_at.isoformat(),
            "placement": situation.placement,
            "initiated_by": situation.initiated_by,
            "channel": situation.channel,
            "locale_asked": situation.locale_asked,
            "arm": self.assignment.arm,
            "arm_probability": self.assignment.arm_probability,
            "segment": scores.segment,
            "segment_probability": scores.segment_probability,
            "stage": scores.stage,
            "propensities": {str(days): probability for days, probability in scores.propensities},
            "purchase_propensity": scores.purchase_propensity,
            "policy": self.policy_name,
            "policy_parameters": {"name": self.policy.name, "epsilon": self.policy.epsilon},
            "candidates": [
                {
                    "action_id": candidate.action_id,
                    "value": candidate.value,
                    "rate": candidate.rate.rate,
                    "n_decided": candidate.rate.n_decided,
                    "n_converted": candidate.rate.n_converted,
                    "prior": candidate.rate.prior,
                }
                for candidate in self.available.candidates
            ],
            "answers": sorted(self.available.answers),
            "suppressed": [suppressed.as_dict() for suppressed in self.available.suppressed],
            "distribution": self.distribution.as_dict(),
            "draw": self.draw,
            "action_id": self.action_id,
            "action_probability": self.action_probability,
            "would_be_action_id": self.would_be_action_id,
            "fallback_reason": self.fallback_reason,
            "versions": dict(self.versions),
        }

    def record(self) -> str:
        """The canonical JSON: the same bytes for the same decision."""
        return _CANONICAL.encode(self.as_dict())


def decide(
    situation: Situation,
    *,
    placement: Placement,
    assignment: Assignment,
    scores: Scores,
    available: Availability,
    policy: Policy,
    draw: float,
    versions: Mapping[str, str],
) -> Decision:
    """What the customer gets.

    Args:
        situation: who, where, when.
        placement: who speaks first there, with its baseline and its fallback.
        assignment: the customer's arm.
        scores: of the customer, or why there are none.
        available: the candidates with their values, `nothing` included where the brand would speak first.
        policy: how the action is drawn from the values.
        draw: one uniform draw in [0, 1).
        versions: of every input, by name.
    """
    fallback_reason = scores.fallback_reason
    if available.candidates:
        policy_name: str = policy.name
        distribution = distribution_over({c.action_id: c.value for c in available.candidates}, policy)
    else:
        policy_name, fallback_reason = FALLBACK_POLICY, NOTHING_ELIGIBLE
        distribution = _certain(_first_answer((placement.fallback, placement.baseline), available))
    drawn = distribution.take(draw)
    if assignment.arm == HOLDOUT:
        action_id = _unpersonalised(placement, available)
        policy_name, probability, would_be = BASELINE_POLICY, 1.0, drawn
    else:
        action_id, probability, would_be = drawn, distribution.probability(drawn), None
    return Decision(
        situation=situation,
        assignment=assignment,
        scores=scores,
        available=available,
        policy=policy,
        policy_name=policy_name,
        distribution=distribution,
        draw=draw,
        action_id=action_id,
        action_probability=probability,
        would_be_action_id=would_be,
        fallback_reason=fallback_reason,
        versions=versions,
    )


def _unpersonalised(placement: Placement, available: Availability) -> str:
    """What a held-out customer gets: the baseline, and silence where the brand would have spoken first."""
    if placement.initiated_by == "brand":
        return NOTHING
    return _first_answer((placement.baseline, placement.fallback), available)


def _first_answer(action_ids: Sequence[str], available: Availability) -> str:
    return next((action_id for action_id in action_ids if action_id in available.answers), NOTHING)


def _certain(action_id: str) -> Distribution:
    return Distribution((action_id,), (1.0,))
