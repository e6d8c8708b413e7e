"""The values that expressions may ask for, under the names of `features.variables`; None or NaN where nobody knows."""

from __future__ import annotations

from typing import NamedTuple

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


class _Read(NamedTuple):
    """Where the values of some names are found."""

    inputs: tuple[tuple[str, int], ...]  # of a model, by their place
    traits: tuple[str, ...]
    instants: tuple[str, ...]
    propensities: tuple[tuple[str, int], ...]  # by their days
    beyond: list[str]  # what next purchase says of any horizon
    asks_segments: bool


class Knowns:
    """Looks names up for one brand."""

    def __init__(self, brand: Brand, schema: FeatureSchema) -> None:
        self._traits = brand.traits
        self._inputs = {name: index for index, name in enumerate(schema.model_inputs)}
        self._instants = {name: index for index, name in enumerate(schema.instants)}
        self._propensities = {f"{PURCHASE_PROPENSITY}_{days}d": days for days in brand.horizons_days}
        self._brand_segments = brand_segments(brand, schema)
        self._reads: dict[frozenset[str], _Read] = {}  # of each place, and of the brand's segments

    def values(
        self, names: frozenset[str], scored: ScoredCustomer, place: Place, *, locale: str, context: Context
    ) -> dict[str, object]:
        """The values of those names.

        Args:
            names: that the place's expressions may ask for.
            scored: the customer.
            place: where they are.
            locale: in which they will be spoken to.
            context: what the caller said.
        """
        values = self.of_customer(names, scored, locale=locale)
        values["channel"] = place.channel_name
        values["placement"] = place.name
        values["intent"] = context.intent
        values["inbound_text"] = context.inbound_text
        return values

    def of_customer(self, names: frozenset[str], scored: ScoredCustomer, *, locale: str) -> dict[str, object]:
        """The values of those names that hold of the customer wherever they are."""
        state = scored.customer.state
        declared = state.declared if isinstance(state, CustomerState) else {}
        told, scores, read = scored.customer.told, scored.scores, self._read(names)
        values: dict[str, object] = {}
        for name, index in read.inputs:
            value = float(scored.inputs[index])
            values[name] = value if value == value else None
        for name in read.traits:
            values[name] = told[name] if name in told else declared.get(name)
        for name in read.instants:
            values[name] = self._instant(name, scored)
        for name, days in read.propensities:  # a horizon of the brand has its own model, or nobody knows
            values[name] = dict(scores.propensities).get(days)
        values["segment"] = scores.segment
        values["stage"] = scores.stage
        values["purchase_propensity"] = scores.purchase_propensity
        values["locale"] = locale
        values["is_known"] = isinstance(state, CustomerState)
        if read.beyond:
            values.update(coming_values(read.beyond, scored))
        if read.asks_segments:
            values[BRAND_SEGMENTS] = self._segments_of(scored, locale=locale)
        return values

    def _read(self, names: frozenset[str]) -> _Read:
        if (found := self._reads.get(names)) is None:
            found = self._reads[names] = self._read_of(names)
        return found

    def _read_of(self, names: frozenset[str]) -> _Read:
        inputs = {name: index for name in names if (index := self._inputs.get(name)) is not None}
        traits = [name for name in names - inputs.keys() if name in self._traits]
        instants = [name for name in names - inputs.keys() - {*traits} if name in self._instants]
        left = names - inputs.keys() - {*traits, *instants}
        propensities = {name: days for name, days in self._propensities.items() if name in left}
        beyond = [name for name in left - propensities.keys() if name == STILL_BUYING or of_a_horizon(name) is not None]
        asks_segments = BRAND_SEGMENTS in names
        return _Read(
            tuple(inputs.items()), tuple(traits), tuple(instants), tuple(propensities.items()), beyond, asks_segments
        )

    def _segments_of(self, scored: ScoredCustomer, *, locale: str) -> list[str]:
        """The brand's own segments that the customer is in."""
        return self._brand_segments.of(self.of_customer(self._brand_segments.names, scored, locale=locale))

    def _instant(self, name: str, scored: ScoredCustomer) -> int | None:
        state = scored.customer.state
        if not isinstance(state, CustomerState) or scored.scores.fallback_reason == FEATURES_STALE:
            return None
        instant = int(state.instants[self._instants[name]])
        return None if instant == MISSING_INSTANT else instant
