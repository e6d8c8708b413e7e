"""What brand.yaml asks of the trees: how much an order weighs, and which inputs may only raise or only lower a score.

A constraint binds the whole of what is served: a member that uses a constrained input, and knows no constraints, is
left out. Calibration never turns an order around, nor does season: it looks at who has left only where no constraint is
on what tells that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from features.brand import Training
from features.faults import CallersMistake, closest_hint
from training.dataset import Source

SIGNS = {"rising": 1, "falling": -1}
NOTHING = Training()


def declared_by(source: Source) -> Training:
    """What the source's brand asks; nothing where the source has no brand."""
    brand = getattr(source, "brand", None)
    return NOTHING if brand is None else brand.training


def parameters_of(source: Source) -> dict[str, Any]:
    """LightGBM's parameters for it; none where nothing is asked, so that the same trees come out as without.

    Raises:
        CallersMistake: a constraint names what is no input, or a category, which has no order.
    """
    asked = declared_by(source)
    parameters: dict[str, Any] = {}
    _require_ordered(source, asked)
    if asked.positive_weight != 1.0:
        parameters["scale_pos_weight"] = asked.positive_weight
    if asked.monotone:
        parameters["monotone_constraints"] = [SIGNS.get(asked.monotone.get(name, ""), 0) for name in source.inputs]
    return parameters


def asked_for(source: Source) -> dict[str, Any]:
    """The same by name, for a run's record and a card; empty where nothing is asked."""
    asked = declared_by(source)
    said: dict[str, Any] = {}
    if asked.positive_weight != 1.0:
        said["positive_weight"] = asked.positive_weight
    return said | {f"monotone_{name}": way for name, way in asked.monotone.items()}


def binds(source: Source, inputs: Iterable[str]) -> bool:
    """Whether a constraint is on one of these inputs."""
    return not declared_by(source).monotone.keys().isdisjoint(inputs)


def _require_ordered(source: Source, asked: Training) -> None:
    for name in asked.monotone:
        if name in source.categories:
            raise CallersMistake(
                f"brand.yaml asks in training.monotone for '{name}', which is a category: its codes have no order. "
                "Name a number, an age or a count."
            )
        if name not in source.inputs:
            raise CallersMistake(
                f"brand.yaml asks in training.monotone for '{name}', which is no input of the models."
                f"{closest_hint(name, source.inputs)} A version's card lists every input."
            )
