"""The next purchase, as it is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from training.calibration import Calibration, FloatArray, busier, from_log_odds, lines_of, on_lines
from training.contributions import Contributions, contributions_of
from training.fast_booster import Boosters
from training.members import TREES_ALONE, Customers, Members, in_season, memoryless_model_of, repeat_model_of
from training.served.coming import Coming
from training.served.expectations import Expectations
from training.served.model import Matrix, ServedInputs, ServedModel
from training.served.repeat_buying import Rhythm


class NextPurchaseModel(ServedModel):
    """P(an order within each horizon), calibrated; a longer horizon is never less probable.

    Attributes:
        horizons_days: rising, in the order of the probabilities' columns.
        products: what ranks the items of the next order, as model.json describes it; None without items.
        products_booster: its text; None where the most frequent are told.
    """

    name = "next_purchase"

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str], *, schema: ServedInputs) -> None:
        super().__init__(description, schema=schema)
        self.horizons_days = tuple(int(head["horizon_days"]) for head in description["heads"])
        self._calibrations = [Calibration.from_dict(head["calibration"]) for head in description["heads"]]
        self._seasons = [
            (float(head.get("season", 1.0)), repeat_model_of(head["leaving"]) if "leaving" in head else None)
            for head in description["heads"]
        ]
        self._members = [
            Members.from_dict(head.get("members", TREES_ALONE), horizon_days=head["horizon_days"])
            for head in description["heads"]
        ]
        self._lines = lines_of(self._calibrations)
        self._busier = np.array([[multiplier] for multiplier, _ in self._seasons])
        # Which booster is a head's; None where it has none.
        self._trees = [head.get("booster", place) for place, head in enumerate(description["heads"])]
        of_heads = boosters[: sum(tree is not None for tree in self._trees)]
        self._boosters = Boosters(of_heads) if of_heads else None
        self.products = description.get("products")
        ranker = None if self.products is None else self.products["booster"]
        self.products_booster = None if ranker is None else boosters[ranker]
        repeat = description.get("coming", {}).get("repeat_buying", [])
        self._repeat_buying = tuple(memoryless_model_of(parameters) for parameters in repeat)
        self._year = tuple(float(busier) for busier in description.get("coming", {}).get("year", ()))
        expected = description.get("expected")
        self._expectations = None if expected is None else Expectations(expected, boosters)

    def predict(self, X: Matrix) -> FloatArray:
        """Calibrated probabilities, shape `(n, n_horizons)`, never falling along a row.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
        """
        columns = self._columns(X)
        customers = Customers(columns, self.inputs, horizons_days=self.horizons_days)
        trees = None if self._boosters is None else self._boosters.raw_scores(columns)
        scores = np.empty((len(self._members), len(columns)))
        for place, (members, tree) in enumerate(zip(self._members, self._trees, strict=True)):
            of_trees = trees[:, tree] if trees is not None and tree is not None else None
            scores[place] = members.scores(customers, of_trees)
        calm = from_log_odds(self._calibrated(scores))
        said = busier(calm, self._busier)
        for place, (multiplier, leaving) in enumerate(self._seasons):
            if leaving is not None and multiplier > 1.0:
                said[place] = in_season(calm[place], multiplier, customers=customers, leaving=leaving)
        return np.ascontiguousarray(np.maximum.accumulate(said, axis=0).T)

    def _calibrated(self, scores: FloatArray) -> FloatArray:
        """Calibrated log-odds of every head, shape `(n_heads, n)`; lines are taken all at once."""
        if self._lines is not None:
            return on_lines(scores, *self._lines)
        return np.stack([of.calibrated(score) for of, score in zip(self._calibrations, scores, strict=True)])

    def coming(self, X: Matrix, *, said: FloatArray | None = None) -> Coming | None:
        """What is to come of customers beyond the horizons; None where the version was trained without it.

        Args:
            X: as `predict` takes it.
            said: what `predict` gave for it, where it is known already.
        """
        if not self._repeat_buying:
            return None
        said = self.predict(X) if said is None else said
        columns = self._columns(X)
        rhythm = Rhythm(self._repeat_buying, Customers(columns, self.inputs).history())
        anchors = {horizon: said[:, place] for place, horizon in enumerate(self.horizons_days)}
        expectations = self._expectations
        expect = None if expectations is None else partial(expectations.of, columns, self.inputs)
        return Coming(rhythm, anchors, self._year, expect)

    def contributions(self, row: Matrix, *, horizon_days: int) -> Contributions:
        """What each input adds to one customer's score over one of the horizons, exactly.

        Args:
            row: shape `(1, len(schema.model_inputs))`, NaN where unknown.
            horizon_days: one of `horizons_days`.
        """
        place = self.horizons_days.index(horizon_days)
        columns, tree = self._columns(row), self._trees[place]
        of_trees = None
        if self._boosters is not None and tree is not None:
            of_trees = self._boosters.contributions(columns, of=tree)[0]
        return contributions_of(self._members[place], Customers(columns, self.inputs), of_trees)
