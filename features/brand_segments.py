"""Segments that the brand makes itself: a name and a condition over what is known of a customer.

A customer may be in several, or in none. A condition sees the same values when everybody is scored as when a decision
is made: traits, features, the stage, the discovered segment and the propensities, nothing of a request. One that needs
what is not known of a customer does not hold of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.brand import Brand
from features.expressions import Expression, InvalidExpression, UnknownName, compile_expression
from features.faults import Fault, InvalidFile
from features.schema import FeatureSchema
from features.variable_names import OF_A_REQUEST, VariableType
from features.variables import variables_of
from features.workspace import Workspace
from features.yaml_file import read_yaml

BRAND_SEGMENTS = "brand_segments"
NOT_OF_THE_CUSTOMER = OF_A_REQUEST | {"locale", "is_known", BRAND_SEGMENTS}


class BrandSegments:
    """The conditions of one brand's segments, compiled.

    Attributes:
        names: every variable that any of them may need.
    """

    def __init__(self, whens: Mapping[str, Expression]) -> None:
        self._whens = dict(whens)
        self.names = frozenset[str]().union(*(when.names for when in self._whens.values()))

    def __bool__(self) -> bool:
        return bool(self._whens)

    def of(self, values: Mapping[str, object]) -> list[str]:
        """Those that a customer is in, in the order of brand.yaml.

        Args:
            values: of the variables in `names`; absent, None or NaN where nobody knows.
        """
        return [name for name, when in self._whens.items() if _holds(when, values)]


def brand_segments(brand: Brand, schema: FeatureSchema, *, path: object = "brand.yaml") -> BrandSegments:
    """The brand's segments, ready to be asked.

    Raises:
        InvalidFile: a condition names what does not exist, or fails on typed samples.
    """
    variables = segment_variables(brand, schema)
    whens, faults = {}, []
    for name, segment in brand.segments.items():
        try:
            whens[name] = compile_expression(segment.when, variables, result=VariableType.FLAG)
        except InvalidExpression as error:
            faults.append(Fault(f"segments.{name}.when", error.problem, _rule(error), closest=error.closest))
    if faults:
        raise InvalidFile(str(path), faults)
    return BrandSegments(whens)


def segment_variables(brand: Brand, schema: FeatureSchema) -> dict[str, VariableType]:
    """What a condition may name: whatever holds of the customer wherever they are."""
    features = dict.fromkeys((*schema.numeric, *schema.model_inputs), VariableType.NUMBER)
    instants = dict.fromkeys(schema.instants, VariableType.INSTANT)
    named = variables_of(brand, {**features, **instants})
    texts = {name for name, trait in brand.traits.items() if trait.type == "text"}  # in no snapshot
    return {name: kind for name, kind in named.items() if name not in NOT_OF_THE_CUSTOMER | texts}


def brand_segment_faults(workspace: Workspace, brand: Brand, schema: FeatureSchema) -> Iterator[Fault]:
    """The faults of every condition, with their lines in brand.yaml."""
    variables = segment_variables(brand, schema)
    file = read_yaml(workspace.brand_file)
    for name, segment in brand.segments.items():
        try:
            compile_expression(segment.when, variables, result=VariableType.FLAG)
        except InvalidExpression as error:
            yield file.fault(("segments", name, "when"), error.problem, _rule(error), error.closest)


def _rule(error: InvalidExpression) -> str:
    asked = [name for name in sorted(NOT_OF_THE_CUSTOMER) if f"names '{name}'" in error.problem]
    if asked:
        return (
            f"'{asked[0]}' is not known when everybody is scored: name traits, features, stage, segment, propensities."
        )
    return error.rule


def _holds(when: Expression, values: Mapping[str, object]) -> bool:
    try:
        return when.evaluate(values) is True
    except UnknownName:
        return False
