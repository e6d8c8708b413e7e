"""The response model, as it is served: E[reward | customer, action], whichever learner it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.calibration import FloatArray
from training.contributions import Contributions
from training.fast_booster import Boosters
from training.response.actions import ActionFeatures
from training.response.terms import OWN, Design, Term, action_vector, sigmoid
from training.response.usual import Columns, Usual
from training.served.model import Matrix, ServedInputs, ServedModel
from training.served.one_row import Plan, Scores

PLANS_KEPT = 100  # tuples of actions: one a place
WHAT_AN_ACTION_IS = ("kind", "incentive", "incentive_cost", "value")
ACTION = "action"  # whatever a booster makes of the action's own features, in contributions


class ResponseModel(ServedModel):
    """E[reward | customer, action] in money, incentives paid, before the price of the channel.

    Attributes:
        actions: that were learned from, the one that uplift is counted from first.
        learner: which learner won.
    """

    name = "response"

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str], *, schema: ServedInputs) -> None:
        super().__init__(description, schema=schema)
        self.learner = str(description["learner"])
        self.actions = tuple(ActionFeatures.from_dict(one) for one in description["actions"])
        self._places = {name: place for place, name in enumerate(self.inputs)}
        self._of_id = {action.action_id: place for place, action in enumerate(self.actions)}
        self._base = tuple(Term.from_dict(term) for term in description["base"])
        self._effects = tuple(tuple(Term.from_dict(term) for term in terms) for terms in description["effects"])
        self._new = None if description["new_actions"] is None else _New(description["new_actions"])
        self._design = Design.from_dict(description["design"])
        self._action_columns = tuple(tuple(map(str, column)) for column in description["action_columns"])
        self._vectors = [action_vector(action, self._action_columns) for action in self.actions]
        usual = description.get("usual")  # versions before it have none
        self._usual = None if usual is None else Usual.from_dict(usual)
        self._plans: dict[int, tuple[tuple[ActionFeatures, ...], Plan, Columns | None]] = {}
        self._reads_action = {
            term.booster for term in self._every_term() if term.booster is not None and term.action != ""
        }
        alone = [place for place in range(len(boosters)) if place not in self._reads_action]
        beside = sorted(self._reads_action)
        self._column_of = {booster: at for group in (alone, beside) for at, booster in enumerate(group)}
        self._alone = Boosters([boosters[place] for place in alone]) if alone else None
        self._beside = Boosters([boosters[place] for place in beside]) if beside else None

    def rewards(self, X: Matrix, actions: Sequence[ActionFeatures]) -> FloatArray:
        """E[reward | x, action], shape `(n, len(actions))`; NaN for an action that the model cannot speak of.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
            actions: in the order of the columns.
        """
        columns = self._columns(X)
        base, effects = self._base_and_effects(columns, actions)
        return np.asarray(base[:, np.newaxis] + effects)

    def uplifts(self, X: Matrix, actions: Sequence[ActionFeatures]) -> FloatArray:
        """What an action is expected to bring beyond the reference action, shape `(n, len(actions))`."""
        return self._base_and_effects(self._columns(X), actions)[1]

    def speaks_of(self, action: ActionFeatures) -> bool:
        """Whether the model can say anything of an action: it was tried, or others with its features were."""
        return self._terms_of(action) is not None

    def contributions(self, row: Matrix, action: ActionFeatures) -> Contributions:
        """What each input adds to the expected reward of one customer and action, exactly; `action` is the action's.

        Args:
            row: shape `(1, len(schema.model_inputs))`, NaN where unknown.
            action: one that the model speaks of.
        """
        columns = self._columns(row)
        design = self._design.of(columns, self._places)[0]
        base, sums = self._sums_of(columns, action)
        parts = dict[str, float]()
        for times, terms, of in (one for one in sums if one[0] != 0.0):
            theirs = dict[str, float]()
            for term in terms:
                base += times * term.weight * self._taken_apart(term, columns, design, of, theirs)
            for name, part in theirs.items():
                _add(parts, name, times * part)
        return Contributions(base, parts)

    def _sums_of(
        self, columns: FloatArray, action: ActionFeatures
    ) -> tuple[float, list[tuple[float, tuple[Term, ...], ActionFeatures]]]:
        """What the reward of an action is the sum of: a constant, and so many times the terms of whom."""
        whole, own = (1.0, self._base, self.actions[0]), (1.0, self._terms_of(action) or (), action)
        if self._usual is None:
            return 0.0, [whole, own]
        usual, terms = self.actions[self._usual.action], self._effects[self._usual.action]
        asked = _Asked(self, columns)
        said = float(asked.sum_of(terms, usual)[0])
        slope, added = self._usual.as_line(said)
        times, constant = -self._usual.share * (slope - 1.0), -self._usual.share * added
        place = self._place_of(action)
        if place == self._usual.action:
            return constant + added, [whole, (times + slope, terms, usual)]
        if place in self._usual.held and self._usual.is_above(float(asked.sum_of(own[1], action)[0]), said):
            return constant + added - self._usual.margin, [whole, (times + slope, terms, usual)]
        return constant, [whole, own, (times, terms, usual)]

    def _taken_apart(
        self, term: Term, columns: FloatArray, design: FloatArray, action: ActionFeatures, parts: dict[str, float]
    ) -> float:
        """Adds what the inputs add to a term, weighted; gives what none of them adds.

        Of the sigmoid of a linear term z, what it is beyond the sigmoid of z at the mean is shared out in proportion to
        the inputs' parts of z: each part times the slope of the straight line between the two, which is the mean of the
        sigmoid's own slope on the way. So the shares sum exactly, and none has another sign than its part of z.
        """
        if term.booster is None and term.is_logistic:
            parts_of_z = design * np.array(term.coefficients)
            slope, start = _secant(term.value, term.value + float(np.add.reduce(parts_of_z)))
            for column, part in zip(self._design.columns, parts_of_z.tolist(), strict=True):
                _add(parts, column[1], term.weight * slope * part)
            return start
        if term.booster is None:
            for column, coefficient, value in zip(self._design.columns, term.coefficients, design, strict=False):
                _add(parts, column[1], term.weight * coefficient * float(value))
            return term.value
        names: tuple[str, ...] = self.inputs
        group, X = self._alone, columns
        if term.booster in self._reads_action:
            names += (ACTION,) * len(self._action_columns)
            group, X = self._beside, np.hstack([columns, self._vector(term, action)[np.newaxis, :]])
        if group is None:
            return 0.0
        told = group.contributions(X, of=self._column_of[term.booster])[0].tolist()
        for name, value in zip(names, told[:-1], strict=True):
            _add(parts, name, term.weight * value)
        return float(told[-1])

    def _base_and_effects(
        self, columns: FloatArray, actions: Sequence[ActionFeatures]
    ) -> tuple[FloatArray, FloatArray]:
        if len(columns) == 1 and isinstance(actions, tuple):
            plan, usual = self._plan_of(actions)
            design = self._design.of(columns, self._places) if plan.needs_design else None
            alone, each = plan.sums(columns, design, self._alone, self._beside)
            if self._usual is None or usual is None:
                return np.array([alone]), np.array([each])
            effects = np.array([each[:-1]])
            return self._usual.put_into(np.array([alone]), effects, np.array(each[-1:]), usual), effects
        n = len(columns)
        asked = _Asked(self, columns)
        base = asked.sum_of(self._base, self.actions[0])
        effects = np.empty((n, len(actions)))
        for place, action in enumerate(actions):
            terms = self._terms_of(action)
            effects[:, place] = np.nan if terms is None else asked.sum_of(terms, action)
        if self._usual is None:
            return base, effects
        own = asked.sum_of(self._effects[self._usual.action], self.actions[self._usual.action])
        return self._usual.put_into(base, effects, own, self._columns_of(self._usual, actions)), effects

    def _columns_of(self, usual: Usual, actions: Sequence[ActionFeatures]) -> Columns:
        return usual.columns_of([self._place_of(action) for action in actions])

    def _plan_of(self, actions: tuple[ActionFeatures, ...]) -> tuple[Plan, Columns | None]:
        """Decisions ask about the same tuple again and again; the usual action's own effect comes last."""
        kept = self._plans.get(id(actions))
        if kept is None or kept[0] is not actions:
            scores = Scores(self._alone.n if self._alone else 0, self._beside.n if self._beside else 0)
            base = self._steps(self._base, self.actions[0], scores)
            usual = () if self._usual is None else (self.actions[self._usual.action],)
            effects = [
                None if (terms := self._terms_of(action)) is None else self._steps(terms, action, scores)
                for action in (*actions, *usual)
            ]
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            columns = None if self._usual is None else self._columns_of(self._usual, actions)
            kept = self._plans[id(actions)] = (actions, Plan(base, effects, scores), columns)
        return kept[1], kept[2]

    def _steps(
        self, terms: Sequence[Term], action: ActionFeatures, scores: Scores
    ) -> list[tuple[str, float, int, float]]:
        steps = []
        for term in terms:
            kind, at = "constant", 0
            if term.booster is not None:
                kind, at = "alone", self._column_of[term.booster]
                if term.action:
                    at += scores.vector(self._vector(term, action)) * scores.n_beside
                    kind = "beside"
            elif term.coefficients:
                kind, at = ("logistic", scores.logistic(term)) if term.is_logistic else ("linear", scores.linear(term))
            steps.append((kind, term.weight, at, term.value))
        return steps

    def _terms_of(self, action: ActionFeatures) -> tuple[Term, ...] | None:
        place = self._place_of(action)
        if place is not None:
            return self._effects[place]
        return None if self._new is None else self._new.terms_of(action)

    def _place_of(self, action: ActionFeatures) -> int | None:
        """Among the actions that were learned from; None for one that was not, or was changed since."""
        place = self._of_id.get(action.action_id)
        return place if place is not None and _is_the_same(action, self.actions[place]) else None

    def _vector(self, term: Term, action: ActionFeatures) -> FloatArray:
        return action_vector(action, self._action_columns) if term.action == OWN else self._vectors[int(term.action)]

    def _every_term(self) -> list[Term]:
        new = () if self._new is None else self._new.terms
        return [*self._base, *new, *(term for terms in self._effects for term in terms)]


class _Asked:
    """One question: everything that several actions share is worked out once."""

    def __init__(self, model: ResponseModel, columns: FloatArray) -> None:
        self._model, self._columns = model, columns
        self._design: FloatArray | None = None
        self._alone: FloatArray | None = None
        self._beside: dict[bytes, FloatArray] = {}

    def sum_of(self, terms: Sequence[Term], action: ActionFeatures) -> FloatArray:
        total = np.zeros(len(self._columns))
        for term in terms:
            total += term.weight * self._said(term, action)
        return total

    def _said(self, term: Term, action: ActionFeatures) -> FloatArray | float:
        model = self._model
        if term.booster is not None:
            column = model._column_of[term.booster]
            return self._scores(model._vector(term, action) if term.action else None)[:, column]
        if not term.coefficients:
            return term.value
        if self._design is None:
            self._design = model._design.of(self._columns, model._places)
        # Not `@`: BLAS adds in another order for one row than for many.
        said = np.asarray(np.add.reduce(self._design * np.array(term.coefficients), axis=1) + term.value)
        return sigmoid(said) if term.is_logistic else said

    def _scores(self, vector: FloatArray | None) -> FloatArray:
        model = self._model
        if vector is None:
            if self._alone is None and model._alone is not None:
                self._alone = model._alone.raw_scores(self._columns)
            return np.empty((len(self._columns), 0)) if self._alone is None else self._alone
        key = vector.tobytes()
        if key not in self._beside and model._beside is not None:
            rows = np.hstack([self._columns, np.broadcast_to(vector, (len(self._columns), len(vector)))])
            self._beside[key] = model._beside.raw_scores(rows)
        return self._beside[key]


class _New:
    """What is said of an action that was never tried: only where actions with its features were."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.terms = tuple(Term.from_dict(term) for term in told["terms"])
        self._seen = {name: frozenset(values) for name, values in told["seen"].items()}
        self._ranges = {name: (float(low), float(high)) for name, (low, high) in told["ranges"].items()}

    def terms_of(self, action: ActionFeatures) -> tuple[Term, ...] | None:
        for name, values in self._seen.items():
            if getattr(action, name) not in values:
                return None
        for name, (low, high) in self._ranges.items():
            if not low <= getattr(action, name) <= high:
                return None
        return self.terms


def _is_the_same(action: ActionFeatures, learned: ActionFeatures) -> bool:
    """Whether an action is still what was learned from: with another price or incentive it is a new one."""
    return all(getattr(action, name) == getattr(learned, name) for name in WHAT_AN_ACTION_IS)


def _secant(start: float, end: float) -> tuple[float, float]:
    """The slope of the sigmoid between two points, its own where they are the same, and the sigmoid of the first."""
    low, high = sigmoid(np.array([start, end])).tolist()
    slope = low * (1.0 - low) if abs(end - start) < 1e-6 else (high - low) / (end - start)
    return slope, low


def _add(parts: dict[str, float], name: str, part: float) -> None:
    if part != 0.0:
        parts[name] = parts.get(name, 0.0) + part
