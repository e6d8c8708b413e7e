"""The space in which customers are near or far: standardised behaviour beside declared traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray

BEHAVIOUR = (
    "n_orders",
    "revenue",
    "mean_order_value",
    "days_since_last_order",
    "tenure_days",
    "n_orders_90d",
    "mean_gap_days",
    "category_entropy",
    "n_product_views_90d",
    "n_add_to_carts_90d",
    "n_messages_clicked_90d",
    "n_refunds",
)
DECLARED_PREFIX = "trait_"
NOT_A_VALUE = ("_age_days", "_strength", "_years", "_days_to_anniversary")
WEIGHT_OF_A_TRAIT = 1.0  # one declared trait, all its choices together, weighs as much as one behaviour
Categories = Mapping[str, Sequence[str]]
FURTHEST = 3.0  # standard deviations: one whale must not be a segment


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of the space.

    Attributes:
        input: the model input it is made of.
        code: which category of that input, for a declared choice; None for a number.
        absent: what a missing value counts as, on the axis's scale.
    """

    input: str
    code: int | None
    absent: float
    mean: float
    scale: float
    weight: float

    @property
    def name(self) -> str:
        """Such as `n_orders` or `trait_skin_need=2`."""
        return self.input if self.code is None else f"{self.input}={self.code}"


@dataclass(frozen=True, slots=True)
class Space:
    """Axes learned from one snapshot; any later snapshot can be put into it."""

    axes: tuple[Axis, ...]

    def place(self, X: NDArray[np.float32], *, inputs: Sequence[str], furthest: float = FURTHEST) -> FloatArray:
        """Where customers stand, shape `(n, n_axes)`: standardised, clipped at `furthest`, weighted."""
        levels = self.levels(X, inputs=inputs)
        mean, scale, weight = (np.array([getattr(a, name) for a in self.axes]) for name in ("mean", "scale", "weight"))
        return np.asarray(np.clip((levels - mean) / scale, -furthest, furthest) * weight)

    @property
    def is_of_time(self) -> NDArray[np.bool_]:
        """Which axes only tell how long ago something was: to be new, or gone, is not unusual."""
        return np.array([axis.input == "tenure_days" or axis.input.startswith("days_since_") for axis in self.axes])

    def shared_with(
        self, inputs: Sequence[str], *, then: Categories | None = None, now: Categories | None = None
    ) -> tuple[Space, NDArray[np.intp]]:
        """The axes that can still be fed, and their places.

        Args:
            inputs: of today.
            then: the choices by whose order an axis's code was counted.
            now: the choices of today; an axis keeps its choice under today's code, or goes with it.
        """
        axes = [_coded_anew(axis, then or {}, now or {}) for axis in self.axes]
        kept = [i for i, axis in enumerate(axes) if axis is not None and axis.input in inputs]
        return Space(tuple(axis for i in kept if (axis := axes[i]) is not None)), np.array(kept, dtype=np.intp)

    def levels(self, X: NDArray[np.float32], *, inputs: Sequence[str]) -> FloatArray:
        """Each axis before standardisation, shape `(n, n_axes)`: log1p of a number, 0 or 1 of a choice."""
        place = {name: i for i, name in enumerate(inputs)}
        return np.column_stack([_level(X[:, place[axis.input]], axis.code, axis.absent) for axis in self.axes])

    def as_list(self) -> list[dict[str, Any]]:
        """What model.json keeps."""
        return [{name: getattr(axis, name) for name in Axis.__slots__} for axis in self.axes]

    @classmethod
    def from_list(cls, axes: Sequence[Mapping[str, Any]]) -> Space:
        """The inverse of `as_list`."""
        return cls(tuple(Axis(**axis) for axis in axes))


def learn_space(X: NDArray[np.float32], *, inputs: Sequence[str], categories: Mapping[str, Sequence[str]]) -> Space:
    """Axes for every behaviour and declared trait that differs between customers."""
    axes = []
    for column, name in enumerate(inputs):
        if name in BEHAVIOUR:
            axes += _axis(X[:, column], input_name=name, code=None, weight=1.0)
        elif name in categories:
            weight = WEIGHT_OF_A_TRAIT / np.sqrt(len(categories[name]))
            for code in range(len(categories[name])):
                axes += _axis(X[:, column], input_name=name, code=code, weight=weight)
        elif is_declared_value(name) and _is_binary(X[:, column]):
            siblings = sum(1 for other in inputs if _same_trait(name, other))
            axes += _axis(X[:, column], input_name=name, code=None, weight=WEIGHT_OF_A_TRAIT / np.sqrt(siblings))
    return Space(tuple(axes))


def _coded_anew(axis: Axis, then: Categories, now: Categories) -> Axis | None:
    """The axis of the same choice; None where there is no such choice any more."""
    if axis.code is None or axis.input not in then or axis.input not in now:
        return axis
    choice = then[axis.input][axis.code]
    return replace(axis, code=list(now[axis.input]).index(choice)) if choice in now[axis.input] else None


def is_declared_value(name: str) -> bool:
    """Whether the input is what a customer said, rather than what is derived from when it was said."""
    return name.startswith(DECLARED_PREFIX) and not name.endswith(NOT_A_VALUE)


def _same_trait(name: str, other: str) -> bool:
    return is_declared_value(other) and other.rsplit("_", 1)[0] == name.rsplit("_", 1)[0]


def _is_binary(values: NDArray[np.float32]) -> bool:
    return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())


def _axis(values: NDArray[np.float32], *, input_name: str, code: int | None, weight: float) -> list[Axis]:
    absent = 0.0
    if code is None and input_name.startswith("days_since_"):
        absent = float(np.log1p(np.nanmax(values))) if not np.isnan(values).all() else 0.0  # never: as long ago as any
    level = _level(values, code, absent)
    scale = float(level.std())
    if scale < 1e-9:
        return []
    rounded = {"absent": absent, "mean": float(level.mean()), "scale": scale, "weight": float(weight)}
    return [Axis(input_name, code, **{name: round(value, 9) for name, value in rounded.items()})]


def _level(values: NDArray[np.float32], code: int | None, absent: float) -> FloatArray:
    known = values.astype(np.float64)
    if code is not None:
        return np.asarray(known == code, dtype=np.float64)
    return np.asarray(np.where(np.isnan(known), absent, np.sign(known) * np.log1p(np.abs(np.nan_to_num(known)))))
