"""One training round of each model asked for: learn, judge, write, record, and promote what passes its gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from features.faults import CallersMistake
from training.artifact import NEXT_PURCHASE, RESPONSE, SEGMENTS
from training.dataset import WorkspaceSource
from training.registry import Registry
from training.rounds.next_purchase import next_purchase_round
from training.rounds.response import response_round
from training.rounds.segments import segments_round
from training.rounds.settling import Round as Round

if TYPE_CHECKING:
    from features.workspace import Workspace
    from training.tuning import Budget

ROUNDS: Mapping[str, Callable[[WorkspaceSource, Registry, int], Round]] = {
    SEGMENTS: segments_round,
    NEXT_PURCHASE: next_purchase_round,
    RESPONSE: response_round,
}


def train_models(
    workspace: Workspace,
    *,
    models: tuple[str, ...],
    as_of: datetime | None,
    seed: int = 0,
    tuning: Budget | None = None,
    n_folds: int = 0,
) -> list[Round]:
    """Trains each model asked for; one that cannot be learned is refused with its reason, the others are not.

    Args:
        workspace: with a lake.
        models: of `training.artifact.MODELS`.
        as_of: nothing later is known; None for the midnight after the last event, at latest today's start.
        seed: of everything random.
        tuning: the trees of next purchase within this budget; None for the recipes that there are.
        n_folds: how many earlier windows next purchase is held against too.
    """
    everybody = WorkspaceSource(workspace, as_of=as_of)
    some = everybody.at_most(everybody.brand.training.customers)
    rounds, ways = [], dict(ROUNDS)
    if tuning is not None or n_folds:
        ways[NEXT_PURCHASE] = partial(next_purchase_round, tuning=tuning, n_folds=n_folds)
    with Registry(workspace) as registry:
        for model in models:
            try:
                # Response learns from whoever was decided about, which is no matter of how many customers there are.
                rounds.append(ways[model](everybody if model == RESPONSE else some, registry, seed))
            except CallersMistake as reason:  # too little data, or a leak: the other models know nothing of it
                rounds.append(Round(model, refused=(str(reason),)))
    return rounds
