"""What every loaded model has: its version, its inputs' places in the matrix, its description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, closest_name
from training.calibration import FloatArray

Matrix = NDArray[np.float32] | NDArray[np.float64]


class ArtifactRefused(CallersMistake):
    """This artefact must not be used; the message says why and what to do."""


class ArtifactMismatch(ArtifactRefused):
    """The model and the feature schema do not fit; the message holds the difference."""


class ServedInputs(Protocol):
    """What a model needs to know of `features.schema.FeatureSchema`."""

    @property
    def model_inputs(self) -> tuple[str, ...]:
        """Names in the order of the matrix's columns."""

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        """Names of a categorical input's codes, in their order."""

    @property
    def version(self) -> str:
        """Changes when the schema does."""


class ServedModel:
    """A version of a model, ready to be asked: a family, since three models are served by the same rules.

    Attributes:
        name: the model's, one of `training.artifact.MODELS`.
        inputs: in the order in which it learned them.
    """

    name: str

    def __init__(self, description: Mapping[str, Any], *, schema: ServedInputs) -> None:
        self.description = dict(description)
        self.version = str(description["version"])
        self.inputs = tuple(str(name) for name in description["inputs"])
        self._index = _index_of(self.inputs, description=description, schema=schema)

    def _columns(self, X: Matrix) -> FloatArray:
        return X.take(self._index, axis=1).astype(np.float64, copy=False)


def _index_of(inputs: Sequence[str], *, description: Mapping[str, Any], schema: ServedInputs) -> NDArray[np.intp]:
    """Where the model's inputs stand among the schema's.

    Raises:
        ArtifactMismatch: with every input that is not served, and every category that moved.
    """
    places = {name: place for place, name in enumerate(schema.model_inputs)}
    differences = []
    for name in inputs:
        if name not in places:
            closest = closest_name(name, places)
            differences.append(f"  - {name}: is not served." + (f" Closest: '{closest}'." if closest else ""))
    for name, learned in description.get("categories", {}).items():
        served = tuple(schema.categories.get(name, ()))
        if served[: len(learned)] != tuple(learned):
            differences.append(f"  - {name}: learned with categories {list(learned)}, served are {list(served)}.")
    if differences:
        raise ArtifactMismatch(
            f"Model '{description['name']}' version {description['version']} was trained on feature schema "
            f"{description['schema_version']}; schema {schema.version} does not fit it:\n"
            + "\n".join(differences)
            + f"\nTrain it anew with 'rapport train {description['name'].replace('_', '-')}', or bring those back."
        )
    return np.array([places[name] for name in inputs], dtype=np.intp)
