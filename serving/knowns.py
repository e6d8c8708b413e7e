"""The values that expressions may ask for, under the names of `features.variables`; None or NaN where nobody knows."""

from __future__ import annotations

from collections.abc import Collection

from features.brand import Brand
from features.brand_segments import BRAND_SEGMENTS, brand_segments
from features.derive import MISSING_INSTANT
from features.packing import CustomerState
from features.schema import FeatureSchema
from features.variable_names import PURCHASE_PROPENSITY, of_a_horizon
from serving.coming import STILL_BUYING, coming_values
from serving.schemas import Context
from serving.scoring import FEATURES_STALE, ScoredCustomer
from serving.shelf import Place


class Knowns:
    """Looks names up for one brand."""

    def __init__(self, brand: Brand, schema: FeatureSchema) -> None:
        self._traits = brand.traits
        self._inputs = {name: index for index, name in enumerate(schema.model_inputs)}
        self._instants = {name: index for index, name in enumerate(schema.instants)}
        self._propensities = {f"{PURCHASE_PROPENSITY}_{days}d": days for days in brand.horizons_days}
        self._brand_segments = brand_segments(brand, schema)

    def values(
        self, names: Collection[str], scored: ScoredCustomer, place: Place, *, locale: str, context: Context
    ) -> dict[str, object]:
        """The values of those names.

        Args:
            names: that the place's expressions may ask for.
            scored: the customer.
            place: where they are.
            locale: in which they will be spoken to.
            context: what the caller said.
        """
        return self.of_customer(names, scored, locale=locale) | {
            "channel": place.channel_name,
            "placement": place.name,
            "intent": context.intent,
            "inbound_text": context.inbound_text,
        }

    def of_customer(self, names: Collection[str], scored: ScoredCustomer, *, locale: str) -> dict[str, object]:
        """The values of those names that hold of the customer wherever they are."""
        state = scored.customer.state
        declared = dict(state.declared) if isinstance(state, CustomerState) else {}
        declared.update(scored.customer.told)
        scores = scored.scores
        values: dict[str, object] = {}
        beyond: list[str] = []
        for name in names:
            if (index := self._inputs.get(name)) is not None:
                value = float(scored.inputs[index])
                values[name] = value if value == value else None
            elif name in self._traits:
                values[name] = declared.get(name)
            elif name in self._instants:
                values[name] = self._instant(name, scored)
            elif name in self._propensities:  # a horizon of the brand has its own model, or nobody knows
                values[name] = dict(scores.propensities).get(self._propensities[name])
            elif name == STILL_BUYING or of_a_horizon(name) is not None:
                beyond.append(name)
        situation = {
            "segment": scores.segment,
            "stage": scores.stage,
            "purchase_propensity": scores.purchase_propensity,
            "locale": locale,
            "is_known": isinstance(state, CustomerState),
        }
        values.update(situation)
        if beyond:
            values.update(coming_values(beyond, scored))
        if BRAND_SEGMENTS in names:
            values[BRAND_SEGMENTS] = self._segments_of(scored, locale=locale)
        return values

    def _segments_of(self, scored: ScoredCustomer, *, locale: str) -> list[str]:
        """The brand's own segments that the customer is in."""
        return self._brand_segments.of(self.of_customer(self._brand_segments.names, scored, locale=locale))

    def _instant(self, name: str, scored: ScoredCustomer) -> int | None:
        state = scored.customer.state
        if not isinstance(state, CustomerState) or scored.scores.fallback_reason == FEATURES_STALE:
            return None
        instant = int(state.instants[self._instants[name]])
        return None if instant == MISSING_INSTANT else instant
