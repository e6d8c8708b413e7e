"""A look at every champion: have its inputs and scores moved since its training, and did what it said come?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.workspace import Workspace
from training.artifact import (
    MODELS,
    RESPONSE,
    AnyModel,
    ArtifactRefused,
    NextPurchaseModel,
    ResponseModel,
    load_model,
    read_beside,
    read_champions,
    read_description,
)
from training.dataset import WorkspaceSource
from training.drift.assigned import outcomes_of_segments
from training.drift.decided import decided_since, outcomes_of_decisions
from training.drift.moves import FEWEST, moves_of
from training.drift.outcomes import (
    Outcome,
    newest_of_champion,
    outcomes_of_scores,
)
from training.drift.reference import FILE, MOST_CUSTOMERS, Reference, some
from training.drift.report import RETRAIN, Drift, Looked, Reason, reasons_of, status_of
from training.drift.said import saying_of
from training.drift.scored_days import scores_to_judge
from training.drift.silence import no_order_since, told_of

ARE_FEW = f"Fewer than {FEWEST} customers can be compared: nothing can be told from noise yet."
NO_REFERENCE = "This version was trained before its inputs' spread was kept: train once more to watch them."
NO_OUTCOMES = "No window of what it said has closed yet."


def watch(workspace: Workspace, *, as_of: datetime | None = None) -> Drift:
    """Looks at every champion.

    Args:
        workspace: with a lake; where nothing is served, nothing is looked at.
        as_of: nothing later is known; None for the midnight after the last event, at latest today's start.
    """
    source = WorkspaceSource(workspace, as_of=as_of)
    some_customers = source.at_most(MOST_CUSTOMERS)
    champions = read_champions(workspace.artifacts)
    looked = [
        look(source if name == RESPONSE else some_customers, name, champions[name])  # response: whoever was decided of
        for name in MODELS
        if name in champions
    ]
    since = no_order_since(source.orders_at_us, known_until=source.known_until)
    return Drift(source.known_until, tuple(told_of(one, since) for one in looked), since)


def look(source: WorkspaceSource, name: str, champion: Mapping[str, str]) -> Looked:
    """Looks at one champion; `champion` is its entry of champion.json."""
    artifacts, version = source.workspace.artifacts, champion["version"]
    description = read_description(artifacts, name, version, sha256=champion["sha256"])
    trained_at = datetime.fromisoformat(description["as_of"])
    days = (source.known_until - trained_at).total_seconds() / 86_400
    found = Looked(name, version, trained_at, days)
    if days < 0:
        told = f"It was trained as of {trained_at:%Y-%m-%d}: nothing is said of it as of {source.known_until:%Y-%m-%d}."
        return replace(found, notes=(f"{told} Leave --as-of out, or name a later day.",))
    try:
        model = load_model(artifacts, name, version, schema=source.schema, sha256=champion["sha256"])
    except ArtifactRefused as refused:
        return replace(found, status=RETRAIN, reasons=(Reason("does_not_fit", "", None, None, str(refused)),))
    content = read_beside(artifacts, description, FILE)
    return examined(source, model, found, None if content is None else Reference.from_bytes(content))


def examined(source: WorkspaceSource, model: AnyModel, found: Looked, reference: Reference | None) -> Looked:
    """What is found of a champion.

    Args:
        source: of features, and of what happened.
        model: the champion.
        found: what is known of it so far.
        reference: of its training day; None of a version that was made before one was kept: it is unknown, unless
            what it said did not come.
    """
    X = _customers(source, model, found.trained_at)
    moves = None
    if reference is not None:
        moves = moves_of(reference, X, inputs=source.inputs, saying=saying_of(model), days=found.days)
    outcomes, newest = outcomes_of(source, model)
    reasons = reasons_of(moves or [], newest)
    notes = [] if reference is not None else [NO_REFERENCE]
    notes += [ARE_FEW] if reference is not None and min(reference.n, len(X)) < FEWEST else []
    notes += [] if newest else [NO_OUTCOMES]
    return replace(
        found,
        n_then=reference.n if reference else 0,
        n_now=len(X),
        status=status_of(moves, newest, reasons),
        reasons=reasons,
        moves=tuple(moves or ()),
        outcomes=tuple(outcomes),
        notes=tuple(notes),
    )


def outcomes_of(source: WorkspaceSource, model: AnyModel) -> tuple[list[Outcome], list[Outcome]]:
    """All that was said and has come, oldest first; and of that the champion's newest."""
    if isinstance(model, NextPurchaseModel):
        outcomes = outcomes_of_scores(source, scores_to_judge(source, source.workspace, model), champion=model.version)
        return outcomes, newest_of_champion(outcomes)
    if isinstance(model, ResponseModel):
        months, whole = outcomes_of_decisions(source, model)
        return months, [] if whole is None else [whole]
    today, *onward = outcomes_of_segments(source, model)
    return [today, *onward], [today]  # customers of a young shop change groups as it ages: that is told, and no reason


def _customers(source: WorkspaceSource, model: AnyModel, trained_at: datetime) -> NDArray[np.float32]:
    """Whom the model is asked about: everybody, or who was decided about."""
    if isinstance(model, ResponseModel):
        return decided_since(source, trained_at)
    return some(source.snapshot(source.known_until).X)
