"""Where what customers do says otherwise than what they said: by brand.yaml's declarations, for any brand.

Two rules. A trait whose choices are (also) product categories is held against what was bought and looked at in the last
year. A trait with `contradicted_by`, a CEL expression over traits and features, is held against that; there
`<feature>_quantile` is where the customer stands among everyone, so that nobody has to write down a price.
A contradiction changes no decision: it is told beside the evidence.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.brand import Brand, Trait
from features.derive import MISSING_INSTANT, derive
from features.expressions import Expression, InvalidExpression, UnknownName, compile_expression
from features.faults import Fault, InvalidFile
from features.lake import instant_us
from features.packing import CustomerState
from features.schema import FeatureSchema, feature_schema
from features.snapshots import snapshots_folder
from features.variable_names import VariableType
from features.variables import feature_variables, trait_type
from features.workspace import Workspace
from features.yaml_file import read_yaml

WINDOW = timedelta(days=365)
FEWEST_PRODUCTS = 3  # fewer say nothing about a taste
LARGEST_SHARE = 0.1  # of these products in what was declared: below it, they say otherwise
_QUANTILE = "_quantile"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One way in which behaviour says otherwise.

    Attributes:
        rule: `categories`, or the expression of brand.yaml.
        says: what was found, as a sentence.
        found: the figures that it rests on.
    """

    rule: str
    says: str
    found: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ContradictionRules:
    """The expressions of a brand's traits, compiled, by trait."""

    expressions: Mapping[str, Expression]
    schema: FeatureSchema

    @property
    def names(self) -> frozenset[str]:
        """Every variable that any of them may need."""
        return frozenset().union(*(expression.names for expression in self.expressions.values()))


def contradiction_rules(workspace: Workspace, brand: Brand) -> ContradictionRules:
    """The rules of a brand.

    Raises:
        InvalidFile: an expression names what does not exist, or fails on typed samples.
    """
    said = {name: trait.contradicted_by for name, trait in brand.traits.items() if trait.contradicted_by is not None}
    schema = feature_schema(brand, workspace)
    if not said:
        return ContradictionRules({}, schema)
    if faults := list(contradiction_faults(workspace, brand)):
        raise InvalidFile(workspace.brand_file, faults)
    variables = contradiction_variables(workspace, brand)
    compiled = {
        name: compile_expression(text, variables, result=VariableType.FLAG) for name, text in sorted(said.items())
    }
    return ContradictionRules(compiled, schema)


def contradiction_faults(workspace: Workspace, brand: Brand) -> Iterator[Fault]:
    """The faults of every `contradicted_by`, with their lines in brand.yaml."""
    variables = contradiction_variables(workspace, brand)
    file = read_yaml(workspace.brand_file)
    for name, trait in brand.traits.items():
        if trait.contradicted_by is None:
            continue
        try:
            compile_expression(trait.contradicted_by, variables, result=VariableType.FLAG)
        except InvalidExpression as error:
            rule = (
                "It may name the brand's traits and features, and <feature>_quantile." if error.closest else error.rule
            )
            yield file.fault(("traits", name, "contradicted_by"), error.problem, rule, error.closest)


def contradiction_variables(workspace: Workspace, brand: Brand) -> dict[str, VariableType]:
    """What `contradicted_by` may name: traits, features, and the customer's place among everyone by a feature."""
    schema = feature_schema(brand, workspace)
    quantiles = {f"{name}{_QUANTILE}": VariableType.NUMBER for name in schema.numeric}
    traits = {name: trait_type(trait) for name, trait in brand.traits.items()}
    return {**quantiles, **feature_variables(brand, workspace), **traits}


def by_categories(
    trait: Trait, declared: object, events: pa.Table, *, brand: Brand, at: datetime
) -> Contradiction | None:
    """What the last year's products say of a trait whose choices are categories; None where they do not disagree.

    Args:
        trait: of type choice or choices.
        declared: the choice or choices that were said.
        events: of the person, as `features.persons.events_of` gives them.
        brand: whose event names and locales count.
        at: now.
    """
    if trait.type not in ("choice", "choices"):
        return None
    chosen = {str(one) for one in (declared if isinstance(declared, list) else [declared])}
    seen = _products_by_choice(trait, events, brand=brand, at=at)
    n_products, n_chosen = sum(seen.values()), sum(n for choice, n in seen.items() if choice in chosen)
    if n_products < FEWEST_PRODUCTS or n_chosen >= LARGEST_SHARE * n_products:
        return None
    others = ", ".join(f"{n} {choice}" for choice, n in seen.most_common() if choice not in chosen)
    says = (
        f"Of {n_products} products bought, put in the cart or looked at in the last {WINDOW.days} days, "
        f"{n_chosen or 'none'} {'is' if n_chosen <= 1 else 'are'} {' or '.join(sorted(chosen))}: {others}."
    )
    return Contradiction(
        "categories", says, {"n_products": n_products, "n_declared": n_chosen, "by_choice": dict(seen)}
    )


def by_expression(name: str, rules: ContradictionRules, values: Mapping[str, object]) -> Contradiction | None:
    """What the trait's own expression says; None where it does not hold, or where something it needs is not known."""
    expression = rules.expressions.get(name)
    if expression is None:
        return None
    try:
        holds = expression.evaluate(values)
    except UnknownName:
        return None
    if holds is not True:
        return None
    found = {one: values[one] for one in sorted(expression.names) if values.get(one) is not None}
    told = ", ".join(f"{one} = {_shown(value)}" for one, value in found.items())
    return Contradiction(expression.text, f"{expression.text}, with {told}.", found)


def known_values(
    rules: ContradictionRules, state: CustomerState | None, *, workspace: Workspace, at: datetime
) -> dict[str, object]:
    """The values of the variables that the rules name, as far as they are known of a customer.

    Args:
        rules: of the brand.
        state: the customer's current row, or None where there is none.
        workspace: whose newest snapshot says where everyone stands.
        at: now.
    """
    if state is None or not rules.expressions:
        return {}
    schema, names = rules.schema, rules.names
    inputs = derive(state.vector.reshape(1, -1), state.instants.reshape(1, -1), instant_us(at), schema)[0]
    values: dict[str, object] = {one: value for one, value in state.declared.items() if one in names}
    for place, one in enumerate(schema.model_inputs):
        if one in names and not math.isnan(inputs[place]):
            values[one] = float(inputs[place])
    for place, one in enumerate(schema.instants):
        if one in names and int(state.instants[place]) != MISSING_INSTANT:
            values[one] = int(state.instants[place])
    for place, one in enumerate(schema.numeric):
        if f"{one}{_QUANTILE}" in names and not math.isnan(state.vector[place]):
            share = quantile(workspace, one, float(state.vector[place]))
            values |= {} if share is None else {f"{one}{_QUANTILE}": share}
    return values


def quantile(workspace: Workspace, feature: str, value: float) -> float | None:
    """The share of customers with at most that value of a feature in the newest snapshot; half of the equals count.

    None where there is no snapshot that knows the feature of anybody.
    """
    newest = max(snapshots_folder(workspace).glob("as_of=*/snapshot.parquet"), default=None)
    if newest is None:
        return None
    try:
        values = _sorted_values(newest, feature, newest.stat().st_mtime_ns)
    except (OSError, KeyError, pa.ArrowInvalid):
        return None  # it is being replaced, or is of another schema
    if not len(values):
        return None
    below, through = (
        np.searchsorted(values, np.float32(value), side="left"),
        np.searchsorted(values, np.float32(value), "right"),
    )
    return round(float(below + through) / 2 / len(values), 4)


@lru_cache(maxsize=64)
def _sorted_values(path: Path, feature: str, changed_at: int) -> npt.NDArray[np.float32]:
    column = pq.read_table(path, columns=[feature])[feature]
    return np.sort(column.drop_null().to_numpy().astype(np.float32))


def _products_by_choice(trait: Trait, events: pa.Table, *, brand: Brand, at: datetime) -> Counter[str]:
    names = brand.events
    since = at.astimezone(UTC).replace(tzinfo=None) - WINDOW
    choice_of = _choices_by_word(trait)
    seen: Counter[str] = Counter()
    rows = events.select(["event", "occurred_at", "products"]).to_pylist()
    for row in rows:
        if row["event"] in (names.order, names.add_to_cart, names.product_view) and row["occurred_at"] >= since:
            for product in row["products"] or []:
                choice = choice_of.get(_word(product["category"] or ""))
                if choice is not None:
                    seen[choice] += 1
    return seen


def _choices_by_word(trait: Trait) -> dict[str, str]:
    """A choice by its name and by its labels: a shop calls the category what its customers read."""
    words = {_word(label): choice for choice, labels in trait.labels.items() for label in labels.values()}
    return words | {_word(choice): choice for choice in trait.choices}


def _word(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
