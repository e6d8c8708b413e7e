"""The feature schema: which values a customer's row holds, in which order, for one brand and its own SQL.

`numeric` is the order of the packed vector; `model_inputs` is what models see: the numeric columns followed by what
`features.derive` computes on top of them at the moment of reading. Both change only with the brand's traits, the
brand's own `features/*.sql`, or this code; `version` says so.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from features.brand import Brand, Trait
from features.columns import BEHAVIOUR, INSTANTS, RECENT, TEXTS, Column
from features.own_sql import OwnView, own_views
from features.workspace import Workspace

DERIVED_VERSION = 2  # to be raised when derive.py computes something else under the same names

RATIOS = (
    Column("refund_rate", "derived", "share", "Refunds per order"),
    Column("overdue_ratio", "derived", "ratio", "Days since the last order ÷ the mean gap between order days"),
    Column("revenue_trend_30d", "derived", "log ratio", "Revenue of the last 30 days against a month of the 60 before"),
    Column(
        "order_trend_30d", "derived", "log ratio", "Order days of the last 30 days against a month of the 60 before"
    ),
    Column(
        "view_trend_30d", "derived", "log ratio", "Product views of the last 30 days against a month of the 60 before"
    ),
    Column("cart_rate_90d", "derived", "ratio", "Products put in the cart per product viewed, 90 days"),
    Column("message_click_rate_90d", "derived", "share", "Messages clicked per message sent, 90 days"),
)


@dataclass(frozen=True)
class FeatureSchema:
    """What one customer's row holds, by name and in order."""

    numeric: tuple[str, ...]
    instants: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    model_inputs: tuple[str, ...]
    columns: tuple[Column, ...] = field(repr=False)
    own: tuple[OwnView, ...] = field(repr=False)
    half_lives_days: dict[str, float] = field(repr=False)  # of every trait that the row holds
    dates: tuple[str, ...] = field(repr=False)  # traits that are dates, numeric as days since 1970-01-01
    version: str

    def column(self, name: str) -> Column:
        """Unit, meaning and source view of a stored or derived feature; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def feature_schema(brand: Brand, workspace: Workspace) -> FeatureSchema:
    """The schema of a brand's features, its own SQL included.

    Raises:
        InvalidFile: one of the brand's own `features/*.sql` may not be used.
    """
    traits = {name: trait for name, trait in brand.traits.items() if trait.type != "text"}
    declared = tuple(column for name, trait in traits.items() for column in _trait_columns(name, trait))
    instants = INSTANTS + tuple(
        Column(f"trait_{name}_at", "declared", "instant", f"When '{name}' was last declared") for name in traits
    )
    dates = tuple(name for name, trait in traits.items() if trait.type == "date")
    stored = (*BEHAVIOUR, *RECENT, *declared)
    derived = _derived_columns(instants, traits)
    own = own_views(workspace, taken=frozenset(column.name for column in (*stored, *instants, *TEXTS, *derived)))
    added = tuple(
        Column(name, view.name, "number", f"The brand's own, from features/{view.name}.sql")
        for view in own
        for name in view.columns
    )
    numeric = tuple(column.name for column in (*stored, *added))
    model_inputs = (*numeric, *(column.name for column in derived))
    categories = {f"trait_{name}": trait.choices for name, trait in traits.items() if trait.type == "choice"}
    half_lives = {name: trait.half_life_days for name, trait in traits.items()}
    return FeatureSchema(
        numeric=numeric,
        instants=tuple(column.name for column in instants),
        categories=categories,
        model_inputs=model_inputs,
        columns=(*stored, *added, *instants, *TEXTS, *derived),
        own=own,
        half_lives_days=half_lives,
        dates=dates,
        version=_version(numeric, instants, model_inputs, categories, own, half_lives),
    )


def _trait_columns(name: str, trait: Trait) -> tuple[Column, ...]:
    if trait.type == "choices":
        return tuple(
            Column(f"trait_{name}_{choice}", "declared", "0 or 1", f"Whether '{name}' includes '{choice}'")
            for choice in trait.choices
        )
    unit, meaning = {
        "choice": ("index", f"Which choice of '{name}', counted from 0: {', '.join(trait.choices)}"),
        "number": ("number", f"Declared '{name}'"),
        "date": ("days", f"Declared '{name}', in days since 1970-01-01"),
        "boolean": ("0 or 1", f"Declared '{name}'"),
    }[trait.type]
    return (Column(f"trait_{name}", "declared", unit, meaning),)


def _derived_columns(instants: tuple[Column, ...], traits: dict[str, Trait]) -> tuple[Column, ...]:
    ages = tuple(
        Column(age_name(column.name), "derived", "days", f"Days since: {column.meaning}") for column in instants
    )
    strengths = tuple(
        Column(f"trait_{name}_strength", "derived", "share", f"What is left of '{name}' by its half-life")
        for name in traits
    )
    dates = tuple(
        column
        for name, trait in traits.items()
        if trait.type == "date"
        for column in (
            Column(f"trait_{name}_years", "derived", "years", f"Years since '{name}'"),
            Column(f"trait_{name}_days_to_anniversary", "derived", "days", f"Days until the anniversary of '{name}'"),
        )
    )
    return (*ages, *strengths, *dates, *RATIOS)


def age_name(instant: str) -> str:
    """The derived age of an instant: `last_order_at` → `days_since_last_order`, in days."""
    if instant == "first_event_at":
        return "tenure_days"
    name = instant.removesuffix("_at")
    return f"{name}_age_days" if name.startswith("trait_") else f"days_since_{name}"


def _version(
    numeric: tuple[str, ...],
    instants: tuple[Column, ...],
    model_inputs: tuple[str, ...],
    categories: dict[str, tuple[str, ...]],
    own: tuple[OwnView, ...],
    half_lives: dict[str, float],
) -> str:
    parts = {
        "derived": DERIVED_VERSION,
        "numeric": numeric,
        "instants": [column.name for column in instants],
        "texts": [column.name for column in TEXTS],
        "model_inputs": model_inputs,
        "categories": categories,
        "own": {view.name: view.sql for view in own},
        "half_lives": half_lives,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
