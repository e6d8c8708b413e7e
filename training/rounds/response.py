"""The response model's round: taught on older decisions, judged on later ones, then taught on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from training.artifact import (
    RESPONSE,
    ArtifactRefused,
    ResponseModel,
    load_champion,
    read_champions,
    verify,
    write_artifact,
)
from training.cards.common import card_of
from training.cards.response import sections_of
from training.dataset import WorkspaceSource
from training.drift.keeping import of_decisions
from training.gating import Check, Gate, fast_enough, not_yet
from training.labels import EPOCH
from training.leakage import LeakFound, refuse_leaks
from training.plots import plots_of_response
from training.registry import Registry
from training.response.by_group import GroupGain, decided_groups, gains_by_group, harmless_by_group
from training.response.fitted import FittedResponse
from training.response.fitting import fit_response
from training.response.gate import better, checks_of, figures_of
from training.response.in_use import in_use
from training.response.ledger_rows import ledger_rows
from training.response.on_a_later_window import Policies, Windows, spoken, windows_of
from training.response.rows import ResponseRows
from training.rounds.settling import Round, settle, tags_of
from training.split import TooLittleData

MOST_JUDGING = 20_000  # the newest: each one's record is read for what the rates held its candidates to be worth
FEWEST_BESIDE_CHAMPION = 200  # decisions that neither had seen


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A response model twice: as it is judged, and as it would be served."""

    rows: ResponseRows
    windows: Windows
    judged: FittedResponse
    policies: Policies
    groups: list[GroupGain]
    served: FittedResponse


def response_round(source: WorkspaceSource, registry: Registry, seed: int) -> Round:
    """Learns, judges and settles E[reward | customer, action], from the decisions of the ledger."""
    artifacts = source.workspace.artifacts
    lesson = _lesson(source, seed)
    figures = figures_of(lesson.policies, best_single=lesson.judged.best_single)
    by_group = [one.as_dict() for one in lesson.groups]
    description = _description(lesson, source, seed) | {"judged": figures, "judged_by_group": by_group}
    boosters = lesson.served.boosters
    beside = of_decisions(lesson.rows, description, boosters, as_of=source.known_until, schema=source.schema)
    version = write_artifact(artifacts, description, boosters, beside=beside)
    gate = _gate(lesson, source, version)
    card = card_of(description, version, schema=source.schema, gate=gate, sections=sections_of(description))

    def record() -> str:
        return registry.record(
            RESPONSE,
            version,
            parameters={"learner": lesson.served.learner, "seed": seed, "n_rows": len(lesson.rows)}
            | {f"windows_{name}": told for name, told in description["windows"].items()},
            metrics=_metrics(figures),
            figures=plots_of_response(lesson.served.groups),
            tags=tags_of(description),
        )

    promoted, unchanged = settle(source, registry, gate, name=RESPONSE, version=version, record=record, card=card)
    return Round(RESPONSE, version, promoted, unchanged, None if unchanged else gate, figures)


def _lesson(source: WorkspaceSource, seed: int) -> _Lesson:
    window = timedelta(days=source.brand.rewards.attribution_days)
    try:
        rows = ledger_rows(source)
        what, trusted = "what decisions earned", source.brand.training.trusted
        refuse_leaks(
            rows.X, rows.reward, inputs=source.inputs, categories=source.categories, what=what, trusted=trusted
        )
        windows = windows_of(rows, window=window)
        judged, served = taught_twice(
            rows, windows.teach, inputs=source.inputs, categories=source.categories, seed=seed
        )
    except (TooLittleData, LeakFound):
        raise
    except CallersMistake as too_few:
        raise TooLittleData(str(too_few)) from too_few
    judging = rows.taken(np.flatnonzero(windows.judge)[-MOST_JUDGING:])
    policies = Policies.of(judging, in_use(source.workspace, source.brand, judging), judged.model().rewards)
    groups = gains_by_group(policies, policies.by_model(), policies.by_rates(), decided_groups(source, judging))
    return _Lesson(rows, windows, judged, policies, groups, served)


def taught_twice(
    rows: ResponseRows,
    teach: NDArray[np.bool_],
    *,
    inputs: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    seed: int,
) -> tuple[FittedResponse, FittedResponse]:
    """The model that is judged, taught by some rows; and the one that would be served, by all, of the same learner.

    Whichever learner all rows would choose, it would not be the one that the gate has seen.
    """
    judged = fit_response(rows.taken(teach), inputs=inputs, categories=categories, seed=seed)
    served = fit_response(rows, inputs=inputs, categories=categories, seed=seed, candidates=[judged.learner])
    return judged, replace(served, tried=judged.tried, why=judged.why)


def _description(lesson: _Lesson, source: WorkspaceSource, seed: int) -> dict[str, Any]:
    rows, windows = lesson.rows, lesson.windows
    return lesson.served.describe() | {
        "as_of": source.known_until.isoformat(),
        "schema_version": source.schema_version,
        "fingerprint": source.fingerprint(),
        "seed": seed,
        "attribution_days": source.brand.rewards.attribution_days,
        "windows": {
            "taught": _span(rows),
            "taught_for_the_gate": _span(rows.taken(windows.teach)),
            "judged": _span(lesson.policies.rows),
        },
    }


def _gate(lesson: _Lesson, source: WorkspaceSource, version: str) -> Gate:
    policies, judged, currency = lesson.policies, lesson.judged, source.brand.currency
    checks = checks_of(policies, learner=judged.learner, best_single=judged.best_single, currency=currency)
    usual = policies.value(policies.by_rates()).value
    checks.append(
        harmless_by_group(
            "in no large group worse than the rates' policy", lesson.groups, usual=usual, currency=currency
        )
    )
    champion = read_champions(source.workspace.artifacts).get(RESPONSE, {}).get("version")
    if champion is not None and champion != version:
        checks += _against_champion(lesson, source)
    model = ResponseModel(*verify(source.workspace.artifacts, RESPONSE, version), schema=source.schema)

    def ask(row: NDArray[np.float32]) -> object:
        return model.rewards(row, model.actions)

    asked = f"fast enough to serve, with {len(model.actions)} actions"
    checks.append(fast_enough(asked, ask, policies.rows.X))
    return Gate(tuple(checks), champion)


def _against_champion(lesson: _Lesson, source: WorkspaceSource) -> list[Check]:
    """On the decisions that the champion did not know either: on all, and in every large group."""
    question = "earns more than the champion"
    try:
        champion = load_champion(source.workspace.artifacts, RESPONSE, source.schema)
    except ArtifactRefused:
        return [Check(question, True, "the champion does not fit the features of today, so it cannot be served")]
    if not isinstance(champion, ResponseModel):
        return [Check(question, True, "there is none")]
    taught_until = datetime.fromisoformat(champion.description["windows"]["taught"][1])
    unseen = lesson.policies.rows.at > np.datetime64(taught_until.replace(tzinfo=None), "us")
    if int(unseen.sum()) < FEWEST_BESIDE_CHAMPION:
        days = 2 * source.brand.rewards.attribution_days
        return [not_yet(question, free_on=datetime.fromisoformat(champion.description["as_of"]) + timedelta(days=days))]
    rows = lesson.policies.rows.taken(unseen)
    held = replace(
        lesson.policies.in_use,
        by_rate=lesson.policies.in_use.by_rate[unseen],
        price=lesson.policies.in_use.price[unseen],
    )
    policies = Policies.of(rows, held, lesson.judged.model().rewards)
    ours, theirs = policies.by_model(), policies.by_model(spoken(champion.rewards, rows, held))
    currency, usual = source.brand.currency, policies.value(theirs).value
    groups = gains_by_group(policies, ours, theirs, decided_groups(source, rows))
    return [
        better(question, policies.gain(ours, theirs), currency),
        harmless_by_group("in no large group worse than the champion", groups, usual=usual, currency=currency),
    ]


def _span(rows: ResponseRows) -> list[str]:
    """The first and the last decision."""
    at_us = rows.at.astype("datetime64[us]").astype(np.int64)
    return [(EPOCH + timedelta(microseconds=int(at))).isoformat() for at in (at_us.min(), at_us.max())]


def _metrics(figures: dict[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, told in figures.items():
        if isinstance(told, dict):
            flat |= {f"{name}_{part}": float(value) for part, value in told.items()}
        else:
            flat[name] = float(told)
    return flat
