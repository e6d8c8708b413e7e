"""The variables that a brand's expressions may name, with their types."""

from __future__ import annotations

from collections.abc import Mapping

from features.brand import Brand, Trait
from features.faults import Fault, InvalidFile
from features.variable_names import CONTEXT_VARIABLES, MOMENT_VARIABLES, OF_A_REQUEST, OF_ANY_HORIZON, VariableType
from features.workspace import Workspace

_TRAIT_TYPES: dict[str, VariableType] = {
    "choice": VariableType.TEXT,
    "choices": VariableType.TEXTS,
    "number": VariableType.NUMBER,
    "date": VariableType.DATE,
    "boolean": VariableType.FLAG,
    "text": VariableType.TEXT,
}


def variables_of(brand: Brand, brand_features: Mapping[str, VariableType] | None = None) -> dict[str, VariableType]:
    """The names an expression may use: the decision's context, what next purchase says, traits and features.

    Of other horizons than the brand's it may ask as well, by the same names (`features.variable_names.of_a_horizon`).

    Args:
        brand: whose horizons and traits they are.
        brand_features: the features of that brand, as `feature_variables` gives them.
    """
    said = {f"{of}_{days}d": VariableType.NUMBER for of in OF_ANY_HORIZON for days in brand.horizons_days}
    traits = {name: trait_type(trait) for name, trait in brand.traits.items()}
    return {**(brand_features or {}), **CONTEXT_VARIABLES, **said, **traits}


def moment_variables(brand: Brand, brand_features: Mapping[str, VariableType] | None = None) -> dict[str, VariableType]:
    """The names that a moment's condition may use: no request stands behind it, but an event does."""
    of_customer = {name: kind for name, kind in variables_of(brand, brand_features).items() if name not in OF_A_REQUEST}
    return {**of_customer, **MOMENT_VARIABLES}


def trait_type(trait: Trait) -> VariableType:
    """What an expression sees of a trait."""
    return _TRAIT_TYPES[trait.type]


def feature_variables(brand: Brand, workspace: Workspace) -> dict[str, VariableType]:
    """The features of a brand, its own SQL included: model inputs as numbers, instants as instants.

    Raises:
        InvalidFile: one of the brand's own `features/*.sql` may not be used.
    """
    from features.schema import feature_schema

    schema = feature_schema(brand, workspace)
    taken = {*variables_of(brand), *MOMENT_VARIABLES}
    for view in schema.own:
        clashes = [
            Fault(column, "this name is already an expression's variable.", "Rename the column with AS.")
            for column in view.columns
            if column in taken
        ]
        if clashes:
            raise InvalidFile(workspace.sql_folder / f"{view.name}.sql", clashes)
    numbers = dict.fromkeys((*schema.numeric, *schema.model_inputs), VariableType.NUMBER)
    return {**numbers, **dict.fromkeys(schema.instants, VariableType.INSTANT)}
