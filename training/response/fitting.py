"""From rows to a response model: learners tried on customers who did not teach them, the chosen one fitted to all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.response.choosing import SAME_FOR_ALL, Tried, chosen, try_learners
from training.response.departing import NEARLY_ALL, usual_for, with_usual
from training.response.design import design_for
from training.response.fitted import FittedResponse, Served
from training.response.groups import gained, groups_of, quadrants_of
from training.response.learners import Learned, learn, learners_for
from training.response.nuisances import CrossFit, Lesson, Sample, folds_of, happens_or_not
from training.response.policy_value import Estimate, Judge, customers_of
from training.response.rows import ActionFeatures, ResponseRows
from training.response.support import TooFewToLearnFrom, worth_learning
from training.response.terms import OWN, REFERENCE, Design, Term, action_columns, action_vector, linear, rounded
from training.response.usual import Usual

Floats = NDArray[np.float64]

SMALLEST_PROPENSITY = 0.002  # weights beyond 500 make any mean one customer's

FEWEST_TO_JUDGE_NEW_ONES = 4  # tried actions that must show what their features do


def fit_response(
    rows: ResponseRows,
    *,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    seed: int = 0,
    candidates: Sequence[str] | None = None,
) -> FittedResponse:
    """The response model of these rows.

    Args:
        rows: with the action that uplift is counted from first.
        inputs: the names of the columns of `rows.X`.
        categories: of the categorical inputs, by name.
        seed: of the folds and of LightGBM.
        candidates: names of `training.response.learners.NAMES`; None for all that suit the number of actions.

    Raises:
        TooFewToLearnFrom: fewer than two actions have enough customers, or the first has not.
    """
    rows, places = worth_learning(rows)
    X = rows.X.astype(np.float64)
    design = design_for(X, inputs=inputs, categories=categories)
    columns = action_columns(rows.actions)
    sample = Sample(
        X=X,
        Z=design.of(X, {name: place for place, name in enumerate(inputs)}),
        action=rows.action,
        reward=rows.reward,
        propensity=np.maximum(rows.propensity, SMALLEST_PROPENSITY),
        fold=folds_of(rows.cluster, seed=seed),
        n_actions=len(rows.actions),
        names=tuple(f"x{place}" for place in range(len(inputs))),
        categorical=tuple(place for place, name in enumerate(inputs) if name in categories),
        action_vectors=np.array([action_vector(action, columns) for action in rows.actions]),
        happens=happens_or_not(rows.reward),
        seed=seed,
        could=_could(rows),
    )
    crossfit = CrossFit(sample)
    judge = _judge_of(crossfit, rows)
    learners = learners_for(sample.n_actions, candidates, happens=sample.happens)
    tried = try_learners(crossfit, judge, learners)
    best, why = chosen(tried, judge)
    lesson = crossfit.lesson(None)
    calibrated = _calibrated(lesson, learn(best.name, lesson, best.weights), best)
    reference = np.zeros(len(rows), dtype=np.intp)
    could = np.hstack([np.ones((len(rows), 1), dtype=np.bool_), judge.could()])
    everyone = {
        action.action_id: np.where(could[:, place], place, reference) for place, action in enumerate(rows.actions)
    }
    single = {action_id: judge.value(policy) for action_id, policy in everyone.items()}
    best_single = max(single, key=lambda action_id: single[action_id].value)
    shares = _shares(sample)
    # What says the same of everybody is one action for everybody already, by means that are drawn together.
    place = 0 if best.name == SAME_FOR_ALL else list(everyone).index(best_single)
    usual, departures = usual_for(
        judge, best.effects, single=place, taught=calibrated.of_taught, share=float(shares[place])
    )
    effects = with_usual(usual, best.effects)
    choosing, expected, measured = gained(judge, _as_groups_see_it(best, effects))
    groups = groups_of(choosing, expected, measured)
    return FittedResponse(
        inputs=tuple(inputs),
        categories={name: tuple(values) for name, values in categories.items() if name in set(inputs)},
        actions=rows.actions,
        learner=best.name,
        why=why,
        tried=tried,
        values=single | {"model": judge.value(judge.best(effects)), "logged": judge.mean(rows.reward)},
        best_single=best_single,
        departures=departures,
        uplifts={
            action.action_id: _uplift(judge.of_rows(could[:, place]), place)
            for place, action in enumerate(rows.actions)
        },
        groups=groups,
        quadrants=quadrants_of(choosing, groups, expected, measured),
        explained=crossfit.explained,
        is_inferred=rows.is_inferred,
        served=_served(
            lesson, calibrated, best, shares=shares, design=design, columns=columns, actions=rows.actions, usual=usual
        ),
        effects=effects,
        rows=places,
        judge=judge,
        left_out=rows.left_out,
    )


def _uplift(judge: Judge, action: int) -> Estimate:
    """The mean uplift of an action over rows that could get it."""
    everybody = np.full(len(judge.m), action, dtype=np.intp)
    return judge.mean(judge.of_policy(everybody) - judge.of_policy(np.zeros_like(everybody)))


def _could(rows: ResponseRows) -> NDArray[np.bool_] | None:
    """Which of the other actions each row could get, `(n, n_actions - 1)`; None where all rows could get all."""
    if rows.available is None or rows.available.all():
        return None
    return np.asarray(rows.available[:, 1:])


def _judge_of(crossfit: CrossFit, rows: ResponseRows) -> Judge:
    m, d, left = crossfit.outer()
    of = crossfit.sample
    return Judge(m, d, left, of.action, of.propensity, customers_of(rows.cluster), rows.available)


def _as_groups_see_it(best: Tried, effects: Floats) -> Floats:
    """The effects by which customers are grouped: "the same for all" is one group, whichever folds said how much."""
    if best.name != SAME_FOR_ALL:
        return effects
    return np.tile(best.effects.mean(axis=0), (len(best.effects), 1))


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """The chosen learner, taught by all rows, with what brings it to level and slope.

    Attributes:
        learned: as it is.
        levels: each action's mean effect, shape `(n_actions - 1,)`.
        centre: what the learner itself says on average, the same shape.
        kept: how much of its differences.
        of_taught: what is then said of the rows that taught, `(n, n_actions - 1)`.
    """

    learned: Learned
    levels: Floats
    centre: Floats
    kept: float
    of_taught: Floats


def _calibrated(lesson: Lesson, learned: Learned, best: Tried) -> _Calibrated:
    of, kept = lesson.sample, best.slope.kept
    said = learned.predict(of.X, of.Z, of.action_vectors)
    levels, centre = lesson.pseudo().mean(axis=0), of.mean_of(said)
    if best.name == SAME_FOR_ALL:
        levels = np.array([terms[0].value for terms in learned.effects])
    return _Calibrated(learned, levels, centre, kept, levels + kept * (said - centre))


def _shares(of: Sample) -> Floats:
    """By action, the share of rows that got it, shape `(n_actions,)`, as far as the base can say so.

    m is the mean over the actions that were taken, their mean effects d aside. Of an action that many could not get, no
    sum of terms says so: its effect on them, of which nothing is known, would stand in what they bring anyway.
    """
    share = np.bincount(of.action, minlength=of.n_actions) / len(of.action)
    if of.could is not None:
        share[1:][of.could.mean(axis=0) < NEARLY_ALL] = 0.0
    return np.asarray(share)


def _served(
    lesson: Lesson,
    calibrated: _Calibrated,
    best: Tried,
    *,
    shares: Floats,
    design: Design,
    columns: tuple[tuple[str, ...], ...],
    actions: tuple[ActionFeatures, ...],
    usual: Usual | None,
) -> Served:
    learned, levels, centre, kept = calibrated.learned, calibrated.levels, calibrated.centre, calibrated.kept
    effects = tuple(
        gathered([linear(float(level) - kept * float(mean), ()), *(term.times(kept) for term in terms)])
        for level, mean, terms in zip(levels, centre, learned.effects, strict=True)
    )
    boosters = list(learned.boosters)
    place = None
    if lesson.main.booster is not None:
        if lesson.main.booster not in boosters:
            boosters.append(lesson.main.booster)
        place = boosters.index(lesson.main.booster)
    base = [lesson.main.term(place), linear(float(shares @ lesson.d.mean(axis=0)), ())]
    for action, terms in enumerate(effects, start=1):
        base += [_of_action(term, action).times(-float(shares[action])) for term in terms]
    return Served(
        base=gathered(base),
        effects=((), *effects),
        design=design,
        action_columns=columns,
        new_actions=_new_actions(actions, levels, kept * centre, kept) if best.name == "trees_s" else None,
        boosters=tuple(booster.model_to_string() for booster in boosters),
        usual=usual,
    )


def gathered(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The same sum with one constant or linear term, and each sigmoid and each booster once."""
    intercept, coefficients = 0.0, np.zeros(0)
    of_booster: dict[tuple[int, str], float] = {}
    of_sigmoid: dict[Term, float] = {}
    for term in terms:
        if term.is_logistic:
            alone = replace(term, weight=1.0)
            of_sigmoid[alone] = of_sigmoid.get(alone, 0.0) + term.weight
            continue
        if term.booster is not None:
            key = (term.booster, term.action)
            of_booster[key] = of_booster.get(key, 0.0) + term.weight
            continue
        intercept += term.weight * term.value
        if term.coefficients:
            slopes = np.array(term.coefficients)
            coefficients = coefficients + term.weight * slopes if len(coefficients) else term.weight * slopes
    made = [linear(intercept, coefficients.tolist())] if intercept or len(coefficients) else []
    made += [term.times(weight) for term, weight in of_sigmoid.items()]
    made += [Term(rounded(weight), booster=place, action=action) for (place, action), weight in of_booster.items()]
    return tuple(term for term in made if term.weight != 0.0)


def _of_action(term: Term, action: int) -> Term:
    """A term of an action's effect as it stands in the base, which knows the reference action only."""
    return term if term.action != OWN else replace(term, action=str(action))


def _new_actions(
    actions: tuple[ActionFeatures, ...], levels: Floats, centre: Floats, kept: float
) -> dict[str, Any] | None:
    """What may be said of an action that was never tried; None where too few were to tell what their features do."""
    tried = actions[1:]
    if len(tried) < FEWEST_TO_JUDGE_NEW_ONES:
        return None
    told = linear(float((levels - centre).mean()), ())
    both = (told, Term(rounded(kept), booster=0, action=OWN), Term(rounded(-kept), booster=0, action=REFERENCE))
    return {
        "terms": [term.as_dict() for term in both],
        "seen": {
            name: sorted({str(getattr(action, name)) for action in tried})
            for name in ("kind", "goal_stage", "incentive", "channel")
        },
        "ranges": {
            name: [min(getattr(action, name) for action in tried), max(getattr(action, name) for action in tried)]
            for name in ("incentive_cost", "value")
        },
    }


__all__ = ["Estimate", "FittedResponse", "TooFewToLearnFrom", "fit_response"]
