"""Every action's `when` and slots, compiled: what eligibility and rendering evaluate for a customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.catalogue import Action, Catalogue
from features.expressions import Expression, UnknownName, compile_expression
from features.variable_names import VariableType


@dataclass(frozen=True, slots=True)
class ActionExpressions:
    """The compiled expressions of one action."""

    when: Expression | None
    slots: Mapping[str, Expression]

    @property
    def names(self) -> frozenset[str]:
        """Every variable that any of them may need."""
        parts = [expression.names for expression in (self.when, *self.slots.values()) if expression is not None]
        return frozenset().union(*parts)

    def slot_values(self, values: Mapping[str, object]) -> dict[str, object]:
        """The slots that can be said of these variables; `rendering.render` takes defaults for the others."""
        known: dict[str, object] = {}
        for name, expression in self.slots.items():
            try:
                known[name] = expression.evaluate(values)
            except UnknownName:
                continue
        return known


def expressions_of(catalogue: Catalogue, variables: Mapping[str, VariableType]) -> dict[str, ActionExpressions]:
    """The compiled expressions of every action, by its id.

    Raises:
        InvalidExpression: one of them is wrong; `load_catalogue` says where.
    """
    return {action.id: action_expressions(action, variables) for action in catalogue.actions}


def action_expressions(action: Action, variables: Mapping[str, VariableType]) -> ActionExpressions:
    """The compiled expressions of one action; raises InvalidExpression for the first wrong one."""
    return ActionExpressions(
        when=compile_expression(action.when, variables, result=VariableType.FLAG) if action.when is not None else None,
        slots={name: compile_expression(slot.expression, variables) for name, slot in action.slots.items()},
    )
