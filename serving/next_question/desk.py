"""Where a request's questions come from: what the customer said, what they were asked, what others answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from features.brand import Brand
from features.schema import FeatureSchema
from features.workspace import Workspace
from serving.models import ServedModels
from serving.next_question.asked import read_asked
from serving.next_question.asking import NOT_ASKING, About, Asking, imagine, known_of, traits_asked
from serving.next_question.recurring import WINDOW
from serving.next_question.told import Evidence, ToldReader
from serving.next_question.worth import decisions_expected
from serving.schemas import DecisionRequest
from serving.scoring import ScoredCustomer

_WINDOW_DAYS = WINDOW / timedelta(days=1)


class QuestionDesk:
    """Prepares questions for one process; costs nothing where no place that is asked for has any.

    Args:
        workspace: whose snapshots and scores say what was answered.
        reader: reads what a person was asked; of the caller's thread.
        schema: of the features.
    """

    def __init__(self, workspace: Workspace, reader: sqlite3.Connection, schema: FeatureSchema) -> None:
        self._workspace, self._reader, self._schema = workspace, reader, schema
        self._told: tuple[Brand, ToldReader] | None = None

    def asking(
        self,
        request: DecisionRequest,
        scored: ScoredCustomer,
        *,
        keys: Sequence[int],
        brand: Brand,
        models: ServedModels,
        at: datetime,
    ) -> Asking:
        """What this customer may be asked, with their scores after each answer.

        Args:
            request: that is decided on.
            scored: the customer, with what the caller told.
            keys: of the person.
            brand: whose placements list questions.
            models: that would score the customer anew.
            at: now.
        """
        traits = traits_asked(request, brand)
        if not traits:
            return NOT_ASKING
        before = read_asked(self._reader, keys, at=at, conversation_id=request.context.conversation_id)
        known = known_of(scored.customer, traits)
        evidence = self._reading(brand).read(at)
        about = {
            name: _about(name, brand, evidence, segment=scored.scores.segment)
            for name in traits
            if name not in known and name not in before.traits
        }
        asking = Asking(known, before, about)
        return imagine(asking, scored.customer, models=models, schema=self._schema, brand=brand, at=at)

    def _reading(self, brand: Brand) -> ToldReader:
        if self._told is None or self._told[0] is not brand:
            self._told = (brand, ToldReader(self._workspace, brand))
        return self._told[1]


def _about(name: str, brand: Brand, evidence: Evidence, *, segment: str | None) -> About:
    trait = brand.traits[name]
    return About(
        likely=evidence.told.likely(name, trait, segment=segment),
        decisions=decisions_expected(evidence.followed, window_days=_WINDOW_DAYS, half_life_days=trait.half_life_days),
        n_told=evidence.told.n_told(name),
    )
