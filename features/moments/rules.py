"""The moments of one brand, ready to be used: event names, spans in microseconds, conditions compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from features.brand import Brand
from features.expressions import Expression, InvalidExpression, compile_expression
from features.faults import Fault, InvalidFile
from features.variable_names import OF_A_REQUEST, VariableType
from features.variables import feature_variables, moment_variables
from features.workspace import Workspace
from features.yaml_file import read_yaml


@dataclass(frozen=True, slots=True)
class MomentRule:
    """When one kind of moment is due, and what must hold then.

    Attributes:
        event: what its trigger is called in the log.
        skips_controls: the trigger is a message sent, and a control ('nothing') is not one.
        wait_us: from the trigger to the look at the condition.
        expires_after_us: for how long after that it may still be said.
        every_us: how far apart two of them lie at least, for one customer.
        placement: where its decision is to be asked for; None where the brand does not say.
    """

    name: str
    event: str
    skips_controls: bool
    wait_us: int
    expires_after_us: int
    every_us: int
    when: Expression
    placement: str | None


def moment_rules(workspace: Workspace, brand: Brand) -> dict[str, MomentRule]:
    """The rules of a brand's moments by name, in the order of brand.yaml.

    Raises:
        InvalidFile: a condition names what does not exist, or fails on typed samples.
    """
    if not brand.moments:
        return {}
    variables = moment_variables(brand, feature_variables(brand, workspace))
    if faults := list(condition_faults(workspace, brand, variables)):
        raise InvalidFile(workspace.brand_file, faults)
    return {
        name: MomentRule(
            name=name,
            event=brand.event_of(moment.after),
            skips_controls=brand.event_of(moment.after) == brand.events.message_sent,
            wait_us=_us(moment.wait),
            expires_after_us=_us(moment.expires_after),
            every_us=_us(moment.at_most_every),
            when=compile_expression(moment.when, variables, result=VariableType.FLAG),
            placement=moment.placement,
        )
        for name, moment in brand.moments.items()
    }


def condition_faults(workspace: Workspace, brand: Brand, variables: Mapping[str, VariableType]) -> Iterator[Fault]:
    """The faults of the conditions, with their lines in brand.yaml.

    Args:
        workspace: whose brand it is.
        brand: sound in itself.
        variables: what a condition may name, as `moment_variables` gives it.
    """
    file = read_yaml(workspace.brand_file)
    for name, moment in brand.moments.items():
        try:
            compile_expression(moment.when, variables, result=VariableType.FLAG)
        except InvalidExpression as error:
            problem, closest = error.problem, error.closest
            asked = [word for word in sorted(OF_A_REQUEST) if f"names '{word}'" in problem]
            rule = f"'{asked[0]}' is known only while a decision is asked for." if asked else error.rule
            yield file.fault(("moments", name, "when"), problem, rule, None if asked else closest)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
