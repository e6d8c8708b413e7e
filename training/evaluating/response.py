"""Ours beside what you would pick instead for uplift, on any campaign that was imported."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from features.faults import CallersMistake
from training.evaluating.response_answer import Evaluated, Question
from training.evaluating.response_splits import Judged, Terms, judge_split
from training.leakage import LeakFound, refuse_leaks
from training.overlap import Refusal, check_overlap, fewest_for
from training.response.actions import NOTHING_ID
from training.response.campaign_log import CampaignLog
from training.response.campaign_rows import CampaignRows, campaign_rows
from training.response.campaigns import Campaign
from training.response.rows import ResponseRows

if TYPE_CHECKING:
    from features.workspace import Workspace

MIN_SPLITS, MAX_SPLITS = 1, 1000


def evaluate_response(workspace: Workspace, question: Question) -> Evaluated:
    """The answer, or a refusal: leaks and overlap are looked at before any number is made.

    Raises:
        CallersMistake: there is no such campaign, outcome or arm; with those that there are.
    """
    _check(question)
    from training.dataset import WorkspaceSource

    source = WorkspaceSource(workspace)
    campaign = CampaignLog(workspace, source.brand, known_until=source.known_until).campaign(question.campaign)
    treated, control = arms_of(campaign, question.arms)  # before features are made: a slip of the pen is told at once
    found = campaign_rows(source, campaign=campaign.name, outcome=question.outcome, window_days=question.window_days)
    rows = found.rows.between([control, treated])
    return evaluate_rows(
        rows,
        question,
        found=found,
        treated=_as_asked(campaign, question.arms, treated),
        control=_as_asked(campaign, question.arms, control),
        inputs=source.inputs,
        categories=source.categories,
        trusted=source.brand.training.trusted,
    )


def evaluate_rows(
    rows: ResponseRows,
    question: Question,
    *,
    found: CampaignRows,
    treated: str,
    control: str,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    trusted: Sequence[str] = (),
) -> Evaluated:
    """The same for rows that were read already; the control is their first action."""
    if np.ptp(rows.reward) == 0.0:
        raise CallersMistake(
            f"Asked for '{question.outcome}' of campaign '{question.campaign}', but it is {rows.reward[0]:g} for all "
            f"{len(rows):,} rows of these arms: there is nothing to tell apart. Look at how the outcome was imported."
        )
    rows, names = that_differ(rows, inputs)
    notes = list(_notes(found, rows, names, inputs))
    if not names:
        raise CallersMistake(
            f"Asked who responds to campaign '{question.campaign}', but nothing told its customers apart before it was "
            f"sent on {found.campaign.first_at:%Y-%m-%d %H:%M} UTC. Features see only what happened strictly before: "
            "give attributes an earlier time in the mapping, or import what customers did before."
        )
    kinds = {name: categories[name] for name in names if name in categories}
    base = Evaluated(question, treated, control, rows, found.window_days, names, notes=tuple(notes))
    try:
        what = f"'{question.outcome}' of campaign '{question.campaign}'"
        refuse_leaks(rows.X, rows.reward, inputs=names, categories=kinds, what=what, trusted=trusted)
    except LeakFound as leak:
        return replace(base, refusal=_leaking(leak))
    rows, overlap = check_overlap(
        rows,
        inputs=names,
        categories=kinds,
        names=(control, treated),
        seed=question.seed,
        fewest=fewest_for(question.test_share),
    )
    if overlap.note:
        notes.append(overlap.note)
    base = replace(base, rows=rows, overlap=overlap, refusal=overlap.refusal, notes=tuple(notes))
    if overlap.refusal is not None:
        return base
    return replace(base, judged=tuple(_judge_all(rows, question, inputs=names, categories=kinds)))


def arms_of(campaign: Campaign, arms: Sequence[str]) -> tuple[str, str]:
    """The actions of the treated and of the control arm: the control is `nothing`, else the one that is named last.

    Raises:
        CallersMistake: these are not two different arms of the campaign.
    """
    names = list(arms) or (list(campaign.actions)[::-1] if len(campaign.actions) == 2 else [])
    listed = ", ".join(f"'{action}'" for action in campaign.actions)
    if len(names) != 2:
        raise CallersMistake(
            f"Asked to compare {len(names)} arms of campaign '{campaign.name}'; it takes two: --arms A,B, of {listed}. "
            "Where neither is 'nothing', B is the control."
        )
    first, second = (campaign.action_of(name) for name in names)
    if first == second:
        raise CallersMistake(
            f"Asked to compare '{names[0]}' with '{names[1]}' of campaign '{campaign.name}', which are one and the "
            f"same action, '{first}'. Name two of {listed}."
        )
    return (second, first) if first == NOTHING_ID else (first, second)


def _as_asked(campaign: Campaign, arms: Sequence[str], action: str) -> str:
    """What an arm is called in the answer: as it was asked for, so that who asked knows it again."""
    return next((name for name in arms if campaign.action_of(name) == action), action)


def that_differ(rows: ResponseRows, inputs: Sequence[str]) -> tuple[ResponseRows, tuple[str, ...]]:
    """Without the inputs that are the same for everybody, and those that repeat another."""
    kept: list[int] = []
    seen: set[bytes] = set()
    for place in range(len(inputs)):
        column = np.ascontiguousarray(rows.X[:, place])
        known = column[np.isfinite(column)]
        if not len(known) or (len(known) == len(column) and np.ptp(known) == 0.0):
            continue
        if column.tobytes() not in seen:
            seen.add(column.tobytes())
            kept.append(place)
    return replace(rows, X=np.ascontiguousarray(rows.X[:, kept])), tuple(inputs[place] for place in kept)


def _check(question: Question) -> None:
    if not MIN_SPLITS <= question.splits <= MAX_SPLITS:
        raise CallersMistake(f"Asked for {question.splits} splits; {MIN_SPLITS} to {MAX_SPLITS} can be made.")
    if not 0.05 <= question.test_share <= 0.95:
        raise CallersMistake(f"Asked to judge on a share of {question.test_share} of customers; use 0.05 to 0.95.")
    terms = question.terms
    if not (math.isfinite(terms.value) and math.isfinite(terms.cost) and terms.cost >= 0.0):
        raise CallersMistake(
            f"Asked for an outcome worth {terms.value} and a message that costs {terms.cost}: both are numbers, and a "
            "cost is not below 0."
        )


def _leaking(leak: LeakFound) -> Refusal:
    return Refusal(
        "leakage",
        str(leak),
        {"features": [one.as_dict() for one in leak.leaks]},
        {"design": "Import the feature with the time at which it became known, or without it, and ask again."},
    )


def _notes(found: CampaignRows, rows: ResponseRows, names: Sequence[str], inputs: Sequence[str]) -> list[str]:
    notes = [f"{len(names)} of {len(inputs)} features tell these customers apart; the others are the same for all."]
    if found.n_open:
        notes.append(
            f"{found.n_open:,} messages are left out: their window of {found.window_days:g} days is still open."
        )
    if rows.is_inferred:
        notes.append("No probabilities were declared: they are inferred, as the arms' shares.")
    if not np.isin(rows.reward, (0.0, 1.0)).all():
        notes.append(
            "scikit-uplift defines its curves for outcomes of 0 and 1 only; for this one they are computed by the same "
            "formulas, the perfect order being by what was really spent."
        )
    return notes


_Job = tuple[ResponseRows, tuple[str, ...], dict[str, Sequence[str]], Terms, float]
_job: _Job | None = None


def _judge_all(
    rows: ResponseRows, question: Question, *, inputs: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> list[Judged]:
    """Every split, in as many processes as there are cores: each has one thread, so that figures are the same."""
    job = (rows, tuple(inputs), dict(categories), question.terms, question.test_share)
    seeds = [question.seed * MAX_SPLITS + place for place in range(question.splits)]
    workers = min(question.workers or _cores(), len(seeds))
    if workers <= 1:
        _take(job)
        return [_one(seed) for seed in seeds]
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_take, initargs=(job,)) as pool:
        return list(pool.map(_one, seeds))


def _cores() -> int:
    """That this process may use; where the system cannot say, that there are."""
    asked = getattr(os, "sched_getaffinity", None)
    return len(asked(0)) if asked else os.cpu_count() or 1


def _take(job: _Job) -> None:
    global _job
    _job = job


def _one(seed: int) -> Judged:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if _job is None:
        raise RuntimeError("A worker was asked before it was given its rows.")
    rows, inputs, categories, terms, share = _job
    with threadpool_limits(1):
        return judge_split(rows, inputs=inputs, categories=categories, terms=terms, share=share, seed=seed)


__all__ = ["Evaluated", "Question", "arms_of", "evaluate_response"]
