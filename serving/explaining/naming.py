"""What the variables of a brand's expressions are called among people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from features.brand import Brand
from features.schema import FeatureSchema
from features.variable_names import EXPECTED_ORDERS, EXPECTED_SPEND, PURCHASE_PROPENSITY, of_a_horizon
from serving.explaining.conditions import Named, Names

_OF_THE_DECISION: Mapping[str, Named] = {
    "segment": Named("the segment"),
    "brand_segments": Named("the brand's own segments that the customer is in"),
    "stage": Named("the funnel stage"),
    "purchase_propensity": Named("the purchase propensity"),
    "still_buying": Named("the probability of still buying here"),
    "locale": Named("the locale"),
    "channel": Named("the channel"),
    "placement": Named("the placement"),
    "intent": Named("the intent"),
    "inbound_text": Named("what the customer wrote"),
    "is_known": Named("the customer", if_true="is known"),
}
_AHEAD = {
    PURCHASE_PROPENSITY: "the purchase propensity",
    EXPECTED_ORDERS: "the number of orders expected",
    EXPECTED_SPEND: "the spend expected",
}
_SINCE = "days_since_"
_COUNT = "n_"


def names_of(brand: Brand, schema: FeatureSchema) -> Names:
    """What each variable is called.

    Args:
        brand: whose traits and currency.
        schema: whose features; only of its own windows is it said that they look back.
    """
    columns = {column.name: column for column in schema.columns}

    @cache
    def named(name: str) -> Named:
        if name in _OF_THE_DECISION:
            return _OF_THE_DECISION[name]
        if name in brand.traits:
            return Named(f"the declared {_spaced(name)}")
        if (ahead := of_a_horizon(name)) is not None:
            unit = brand.currency if ahead[0] == EXPECTED_SPEND else ""
            return Named(f"{_AHEAD[ahead[0]]} within {ahead[1]} days", unit)
        if name not in columns:
            return Named(f"`{name}`")
        unit, back = columns[name].unit, _window(name, columns[name].meaning)
        if name.startswith(_SINCE):
            return Named(f"the time since the {_spaced(name.removeprefix(_SINCE))}", "days")
        start = "the number of " if name.startswith(_COUNT) else "the "
        words = f"{start}{_spaced(name.removeprefix(_COUNT).removesuffix(back))}{_looking_back(back)}"
        return Named(words, brand.currency if unit == "currency" else "")

    return named


def _window(name: str, meaning: str) -> str:
    """The end of a name that says how many days it looks back, where its meaning says the same; else empty."""
    end = name.rpartition("_")[2]
    days = end.removesuffix("d")
    return f"_{end}" if days != end and f"in the last {days} days" in meaning else ""


def _looking_back(window: str) -> str:
    return f" in the last {window.strip('_d')} days" if window else ""


def _spaced(name: str) -> str:
    return name.replace("_", " ")
