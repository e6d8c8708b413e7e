"""What a version knew of its customers on the day of its training: the file `reference.json` beside its boosters.

It holds the spread of every input and score as of the training day, and how far each had moved up to that day in the
time before: a shop grows older, and what grows with it moves in a world where nothing is wrong. Same data, same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.drift.said import Said, Saying
from training.drift.spread import Spread, expected, psi

FILE = "reference.json"
MOST_CUSTOMERS = 20_000  # what these differ by for no reason is 0.001 of PSI, a hundredth of what is looked for


@dataclass(frozen=True, slots=True)
class Usual:
    """How far a quantity had moved up to the training day, from so many days before it.

    Attributes:
        psi: beyond what chance brings on average.
        unknown: the change of the share of whom it is not known, without its sign.
    """

    days: float
    psi: float
    unknown: float


@dataclass(frozen=True, slots=True)
class Quantity:
    """An input or a score on the training day.

    Attributes:
        scale: the standard deviation of a score that is a number; else 0.
        names: of a category's codes.
        usual: by rising days.
    """

    spread: Spread
    scale: float = 0.0
    names: tuple[str, ...] = ()
    usual: tuple[Usual, ...] = ()

    def usual_over(self, days: float) -> tuple[float, float]:
        """PSI and change of the unknown that so many days bring at the pace of before; (0, 0) where that is not known.

        Between two stretches that are known on the straight line, of PSI that of its root: what moves at a steady pace
        has gone twice as far after twice the time, and PSI is a square of how far. Beyond the longest at that pace,
        below the shortest as much as over that.
        """
        if not self.usual:
            return 0.0, 0.0
        longest = self.usual[-1]
        pace = max(days / longest.days, 1.0)
        known = [one.days for one in self.usual]
        at = min(days, longest.days)
        far = pace * float(np.interp(at, known, [one.psi**0.5 for one in self.usual]))
        return far**2, pace * float(np.interp(at, known, [one.unknown for one in self.usual]))

    def as_dict(self) -> dict[str, Any]:
        """For `reference.json`."""
        told = self.spread.as_dict()
        if self.names:
            told["names"] = list(self.names)
        if self.scale:
            told["scale"] = self.scale
        if self.usual:
            told["usual"] = [[one.days, one.psi, one.unknown] for one in self.usual]
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Quantity:
        """The reverse of `as_dict`."""
        usual = tuple(Usual(*map(float, one)) for one in told.get("usual", ()))
        names = tuple(map(str, told.get("names", ())))
        return cls(Spread.from_dict(told), float(told.get("scale", 0.0)), names, usual)


@dataclass(frozen=True, slots=True)
class Reference:
    """Every input and score of a version on the day of its training."""

    as_of: datetime
    n: int
    features: Mapping[str, Quantity]
    scores: Mapping[str, Quantity] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """The file: one line a quantity."""
        features, scores = (
            ",\n".join(f"{_json(name)}: {_json(one.as_dict())}" for name, one in of.items())
            for of in (self.features, self.scores)
        )
        head = f'"as_of": {_json(self.as_of.isoformat())},\n"n": {self.n}'
        return f'{{\n{head},\n"features": {{\n{features}\n}},\n"scores": {{\n{scores}\n}}\n}}\n'.encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Reference:
        """The reverse of `as_bytes`."""
        told = json.loads(content)
        features, scores = (
            {name: Quantity.from_dict(one) for name, one in told[kind].items()} for kind in ("features", "scores")
        )
        return cls(datetime.fromisoformat(told["as_of"]), int(told["n"]), features, scores)


def reference_of(
    X: NDArray[np.float32],
    *,
    as_of: datetime,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    saying: Saying,
    earlier: Sequence[tuple[float, NDArray[np.float32]]] = (),
    learned: Collection[str] | None = None,
) -> Reference:
    """The reference of a model that is about to be written.

    Args:
        X: what is known of customers as of the training day, shape `(n, n_inputs)`, NaN where unknown.
        as_of: the training day.
        inputs: names of the columns.
        categories: names of the codes of those that are one.
        saying: what the model says of rows.
        earlier: days before that day, and what was known then: of which what is usual is learned.
        learned: the inputs that the model has; None for all columns.
    """
    today, before = some(X), sorted(((days, some(of)) for days, of in earlier if len(of)), key=lambda one: one[0])
    said, said_before = saying(today), [saying(of) for _, of in before]
    days = [of for of, _ in before]
    features = {
        name: _quantity(
            Said(today[:, place].astype(np.float64), tuple(categories.get(name, ()))),
            [(d, of[:, place]) for d, of in before],
        )
        for place, name in enumerate(inputs)
        if learned is None or name in learned
    }
    scores = {
        name: _quantity(one, [(d, of[name].values) for d, of in zip(days, said_before, strict=True)])
        for name, one in said.items()
    }
    return Reference(as_of, len(today), features, scores)


def _quantity(today: Said, before: Sequence[tuple[float, NDArray[Any]]]) -> Quantity:
    spread = Spread.of(today.values, n_categories=today.n_categories)
    numbers = today.values[~np.isnan(today.values)].astype(np.float64)
    scale = 0.0 if today.names or not len(numbers) else float(f"{numbers.std():.6g}")
    return Quantity(spread, scale, today.names, tuple(_usual(spread, days, values) for days, values in before))


def _usual(today: Spread, days: float, values: NDArray[Any]) -> Usual:
    then = today.counted(values)
    beyond = max(psi(today, then) - expected(today, then), 0.0)
    return Usual(days, round(beyond, 4), round(abs(today.unknown_rate - then.unknown_rate), 4))


def some(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every so many rows, evenly, where there are more than are needed to compare them."""
    return X[:: -(-len(X) // MOST_CUSTOMERS)] if len(X) > MOST_CUSTOMERS else X


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
