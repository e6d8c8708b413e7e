"""Everything that a recorded decision was made with, brought together again: files, models, customer, counters.

Brand and catalogue are the kept versions that the record names, models are the versions in `artifacts/`. What is no
longer there is a reason, and all reasons are found, not the first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from features.brand_segments import BRAND_SEGMENTS, brand_segments
from features.erased_rows import is_erased_decision
from features.faults import CallersMistake
from features.schema import FeatureSchema, feature_schema
from features.versions import CheckedFiles, kept_brand, kept_catalogue, version_file
from features.withdrawing import WITHDRAWN
from features.workspace import Workspace
from serving.decide import NOTHING_ELIGIBLE
from serving.models import ServedModels
from serving.offers import Scores
from serving.replaying.inputs import RecordedInputs, read_inputs
from serving.scoring import ScoredCustomer, score_customers
from serving.stock import Stock, stocked
from training.artifact import MODELS, AnyModel, ArtifactRefused, load_model


class CannotRecreateError(Exception):
    """Something that the decision was made with is gone.

    Attributes:
        status: of the verdict: cannot, withdrawn or erased.
        reasons: everything that is in the way.
    """

    def __init__(self, status: str, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.status = status
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as the ledger has it.

    Attributes:
        text: the record's own bytes.
        record: what it says.
        inputs: what it was made from; None where that was withdrawn or never kept.
    """

    decision_id: str
    text: str
    record: Mapping[str, Any]
    inputs: str | None

    @property
    def at(self) -> datetime:
        """When it was decided."""
        return datetime.fromisoformat(self.record["decided_at"])

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The purposes that were withdrawn since."""
        return tuple(self.record.get(WITHDRAWN, ()))


@dataclass(frozen=True, slots=True)
class Recreated:
    """What a decision was made with."""

    stock: Stock
    schema: FeatureSchema
    models: ServedModels
    inputs: RecordedInputs
    scored: ScoredCustomer  # by the models; by the record where the caller told traits, which are not kept


def recorded(connection: sqlite3.Connection, decision_id: str) -> Recorded:
    """The decision of that id.

    Raises:
        CallersMistake: there is none, and never was.
        CannotRecreateError: its customer was erased.
    """
    has_ledger = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone()
    query = "SELECT record, inputs FROM decisions WHERE decision_id = ?"
    row = connection.execute(query, (decision_id,)).fetchone() if has_ledger else None
    if row is not None:
        return Recorded(decision_id, str(row[0]), json.loads(row[0]), row[1])
    if is_erased_decision(connection, decision_id):
        raise CannotRecreateError("erased", "Only that there was such a decision is known.")
    raise CallersMistake(
        f"Asked for the decision '{decision_id}', which this ledger does not hold. Give the decision_id of an answer."
    )


def recreate(workspace: Workspace, one: Recorded) -> Recreated:
    """What a recorded decision was made with.

    Raises:
        CannotRecreateError: with everything that is gone.
    """
    inputs = _inputs(one)
    stock, schema = stock_of(workspace, one)
    models = models_of(workspace, one, schema)
    (scored,) = score_customers([inputs.customer], models=models, schema=schema, brand=stock.brand, at=one.at)
    if inputs.told:
        scored = replace(scored, scores=recorded_scores(one))
    return Recreated(stock, schema, models, inputs, scored)


def recorded_scores(one: Recorded) -> Scores:
    """What the models said then, as the record has it."""
    record = one.record
    reason = record["fallback_reason"]
    return Scores(
        stage=record["stage"],
        segment=record["segment"],
        segment_probability=record["segment_probability"],
        propensities=tuple((int(days), probability) for days, probability in record["propensities"].items()),
        purchase_propensity=record["purchase_propensity"],
        fallback_reason=None if reason == NOTHING_ELIGIBLE else reason,
    )


def actions_asking_for(
    stock: Stock, *, placement: str, channels: Iterable[str], withheld: Collection[str]
) -> tuple[str, ...]:
    """The actions of a place whose rules or texts ask for something that is not kept."""
    places = [stock.shelf.place(placement, channel) for channel in channels]
    if any(_is_of(name, withheld) for name in brand_segments(stock.brand, stock.schema).names):
        withheld = {*withheld, BRAND_SEGMENTS}  # whoever asks for those asks for what they are made of
    return tuple(
        sorted(
            {
                offerable.action.id
                for place in places
                for offerable in (*place.offerables, *place.answers, place.off_script)
                if offerable is not None and any(_is_of(name, withheld) for name in offerable.names)
            }
        )
    )


def _is_of(name: str, withheld: Collection[str]) -> bool:
    return name in withheld or any(name == f"trait_{trait}" or name.startswith(f"trait_{trait}_") for trait in withheld)


def stock_of(workspace: Workspace, one: Recorded) -> tuple[Stock, FeatureSchema]:
    """The brand and the catalogue that decided, made ready as they were.

    Raises:
        CannotRecreateError: with everything that is gone.
    """
    versions = one.record.get("versions", {})
    names = ("brand", "catalogue", "features")
    if missing := [name for name in names if name not in versions]:
        raise CannotRecreateError("cannot", f"The record does not name its versions of: {', '.join(missing)}.")
    return _stock(workspace, *(str(versions[name]) for name in names))


@lru_cache(maxsize=8)
def _stock(workspace: Workspace, brand: str, catalogue: str, features: str) -> tuple[Stock, FeatureSchema]:
    reasons: list[str] = []
    kept: dict[str, Any] = {}
    for kind, read, sha256 in (("brand", kept_brand, brand), ("catalogue", kept_catalogue, catalogue)):
        try:
            kept[kind] = read(workspace, sha256)
        except CallersMistake as gone:
            reasons.append(str(gone))
    if "brand" in kept:
        schema = feature_schema(kept["brand"], workspace)
        if schema.version != features:
            reasons.append(
                f"The features have changed: the decision was made with schema {features}, now it is {schema.version}. "
                "Bring back the traits of brand.yaml and the SQL in features/ as they were."
            )
    if reasons:
        raise CannotRecreateError("cannot", *reasons)
    contents = (
        version_file(workspace, "brand", brand).read_bytes(),
        version_file(workspace, "catalogue", catalogue).read_bytes(),
    )
    files = CheckedFiles(kept["brand"], kept["catalogue"], *contents)
    return stocked(files, workspace=workspace, schema=schema), schema


def _inputs(one: Recorded) -> RecordedInputs:
    if one.withdrawn:
        raise CannotRecreateError(
            "withdrawn",
            f"Withdrawn since: {', '.join(one.withdrawn)}. What was decided, and how probable it was, is still here.",
        )
    if one.inputs is None:
        raise CannotRecreateError("cannot", "What it was made from was not kept by the Rapport that decided.")
    try:
        return read_inputs(one.inputs, customer_key=int(one.record["customer_key"]))
    except ValueError as fault:
        raise CannotRecreateError("cannot", f"What it was made from cannot be read: {fault}.") from None


def models_of(workspace: Workspace, one: Recorded, schema: FeatureSchema) -> ServedModels:
    """The models that scored the customer.

    Args:
        workspace: whose artefacts.
        one: the decision.
        schema: of the features that the record names.

    Raises:
        CannotRecreateError: with every model that is gone.
    """
    versions = one.record["versions"]
    key = (workspace, schema.version, tuple(versions.get(name) for name in MODELS))
    if (found := _MODELS.get(key)) is None:
        if len(_MODELS) >= _MODELS_KEPT:
            _MODELS.clear()
        found = _MODELS[key] = _loaded(workspace, versions, schema)
    return found


_MODELS: dict[tuple[Workspace, str, tuple[str | None, ...]], ServedModels] = {}
_MODELS_KEPT = 8  # sets of versions; one is a few megabytes


def _loaded(workspace: Workspace, versions: Mapping[str, str], schema: FeatureSchema) -> ServedModels:
    found: dict[str, AnyModel] = {}
    reasons = []
    for name in MODELS:
        if name in versions:
            try:
                found[name] = load_model(workspace.artifacts, name, versions[name], schema=schema)
            except ArtifactRefused as gone:
                reasons.append(str(gone))
    if reasons:
        raise CannotRecreateError("cannot", *reasons)
    return ServedModels.of(found)
