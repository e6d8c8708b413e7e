"""The artefact folder: models as booster text and JSON, loaded only when whole and when they fit the features.

`artifacts/<model>/<version>/` holds `model.json` (inputs in order, calibration knots, windows, fingerprint, the sha256
of each other file) and `booster*.txt`. `artifacts/champion.json` maps a model's name to the version to serve and the
sha256 of its model.json: one hash therefore covers everything. Nothing in it can run code. Invariant: a version's
folder appears whole or not at all; its name is derived from its content, so the same data and seed give the same one.

ArtifactRefused (CallersMistake)
├── ArtifactDamaged      a file is missing or is not the one whose sha256 was recorded
└── ArtifactMismatch     the model needs inputs that the feature schema does not serve
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, closest_name
from training.calibration import Calibration, FloatArray, busier, from_log_odds
from training.contributions import Contributions as Contributions  # serving knows of this room only this module
from training.contributions import contributions_of
from training.fast_booster import Boosters
from training.members import TREES_ALONE, Customers, Members

SEGMENTS = "segments"
NEXT_PURCHASE = "next_purchase"
MODELS = (SEGMENTS, NEXT_PURCHASE)

MODEL_FILE = "model.json"
CHAMPION_FILE = "champion.json"

Matrix = NDArray[np.float32] | NDArray[np.float64]


class ArtifactRefused(CallersMistake):
    """This artefact must not be used; the message says why and what to do."""


class ArtifactDamaged(ArtifactRefused):
    """A file is missing or has another sha256 than the recorded one."""


class ArtifactMismatch(ArtifactRefused):
    """The model and the feature schema do not fit; the message holds the difference."""


class ServedInputs(Protocol):
    """What a model needs to know of `features.schema.FeatureSchema`."""

    @property
    def model_inputs(self) -> tuple[str, ...]:
        """Names in the order of the matrix's columns."""

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        """Names of a categorical input's codes, in their order."""

    @property
    def version(self) -> str:
        """Changes when the schema does."""


class _Model:
    """What every loaded model has: its version, its inputs' places in the matrix, its description."""

    name: str

    def __init__(self, description: Mapping[str, Any], *, schema: ServedInputs) -> None:
        self.description = dict(description)
        self.version = str(description["version"])
        self.inputs = tuple(str(name) for name in description["inputs"])
        self._index = _index_of(self.inputs, description=description, schema=schema)

    def _columns(self, X: Matrix) -> FloatArray:
        return X.take(self._index, axis=1).astype(np.float64, copy=False)


class SegmentsModel(_Model):
    """P(segment | what is known of the customer); works with declared traits alone.

    Attributes:
        segment_ids: in the order of the probabilities' columns, such as `("s1", "s2", "s3")`.
        names: what a segment is called, `{segment_id: {locale: name}}`.
        descriptions: what sets it apart, in plain words, `{segment_id: {locale: sentence}}`.
    """

    name = SEGMENTS

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str], *, schema: ServedInputs) -> None:
        super().__init__(description, schema=schema)
        self.segment_ids = tuple(segment["id"] for segment in description["segments"])
        self.names = {segment["id"]: dict(segment["names"]) for segment in description["segments"]}
        self.descriptions = {segment["id"]: dict(segment["descriptions"]) for segment in description["segments"]}
        self._temperature = float(description["temperature"])
        self._boosters = Boosters(boosters[:1])

    def predict(self, X: Matrix) -> FloatArray:
        """Calibrated probabilities, shape `(n, n_segments)`, rows sum to one.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
        """
        return tempered_softmax(self._boosters.raw_scores(self._columns(X)), temperature=self._temperature)

    def assign(self, X: Matrix) -> list[str]:
        """The most probable segment's id for each row."""
        return [self.segment_ids[i] for i in self.predict(X).argmax(axis=1)]


class NextPurchaseModel(_Model):
    """P(an order within each horizon), calibrated; a longer horizon is never less probable.

    Attributes:
        horizons_days: rising, in the order of the probabilities' columns.
    """

    name = NEXT_PURCHASE

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str], *, schema: ServedInputs) -> None:
        super().__init__(description, schema=schema)
        self.horizons_days = tuple(int(head["horizon_days"]) for head in description["heads"])
        self._calibrations = [Calibration.from_dict(head["calibration"]) for head in description["heads"]]
        self._seasons = np.array([float(head.get("season", 1.0)) for head in description["heads"]])
        self._members = [
            Members.from_dict(head.get("members", TREES_ALONE), horizon_days=head["horizon_days"])
            for head in description["heads"]
        ]
        # Which booster is a head's; None where it has none.
        self._trees = [head.get("booster", place) for place, head in enumerate(description["heads"])]
        self._boosters = Boosters(boosters) if boosters else None

    def predict(self, X: Matrix) -> FloatArray:
        """Calibrated probabilities, shape `(n, n_horizons)`, never falling along a row.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
        """
        columns = self._columns(X)
        customers = Customers(columns, self.inputs)
        trees = None if self._boosters is None else self._boosters.raw_scores(columns)
        scores = np.empty((len(columns), len(self.horizons_days)))
        for place, (members, tree) in enumerate(zip(self._members, self._trees, strict=True)):
            of_trees = trees[:, tree] if trees is not None and tree is not None else None
            scores[:, place] = self._calibrations[place].calibrated(members.scores(customers, of_trees))
        heads: FloatArray = np.maximum.accumulate(busier(from_log_odds(scores), self._seasons), axis=1)
        return heads

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


def tempered_softmax(raw: FloatArray, *, temperature: float) -> FloatArray:
    """Probabilities from multiclass scores, flattened or sharpened by one temperature; shape as `raw`."""
    scaled = raw / temperature
    scaled -= np.maximum.reduce(scaled, axis=1, keepdims=True)
    weights = np.exp(scaled)
    return np.asarray(weights / np.add.reduce(weights, axis=1, keepdims=True))


def _index_of(inputs: Sequence[str], *, description: Mapping[str, Any], schema: ServedInputs) -> NDArray[np.intp]:
    """Where the model's inputs stand among the schema's.

    Raises:
        ArtifactMismatch: with every input that is not served, and every category that moved.
    """
    places = {name: place for place, name in enumerate(schema.model_inputs)}
    differences = []
    for name in inputs:
        if name not in places:
            closest = closest_name(name, places)
            differences.append(f"  - {name}: is not served." + (f" Closest: '{closest}'." if closest else ""))
    for name, learned in description.get("categories", {}).items():
        served = tuple(schema.categories.get(name, ()))
        if served[: len(learned)] != tuple(learned):
            differences.append(f"  - {name}: learned with categories {list(learned)}, served are {list(served)}.")
    if differences:
        raise ArtifactMismatch(
            f"Model '{description['name']}' version {description['version']} was trained on feature schema "
            f"{description['schema_version']}; schema {schema.version} does not fit it:\n"
            + "\n".join(differences)
            + f"\nTrain it anew with 'rapport train {description['name'].replace('_', '-')}', or bring those back."
        )
    return np.array([places[name] for name in inputs], dtype=np.intp)


def sha256_of(content: bytes) -> str:
    """The hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """The same bytes for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False).encode()


def write_artifact(artifacts: Path, description: Mapping[str, Any], boosters: Sequence[str]) -> str:
    """Writes a model as a new version and gives that version, `YYYYMMDD-<8 hex digits of its content>`.

    Args:
        artifacts: the workspace's folder of artefacts.
        description: of the model: `name`, `as_of` (ISO), `inputs`, `categories`, `schema_version`, and what the model's
            class reads; anything that JSON holds may stand beside them.
        boosters: LightGBM's model text, one each.
    """
    texts = {f"booster{i}.txt": text.encode() for i, text in enumerate(boosters)}
    body = dict(description) | {"files": {name: sha256_of(content) for name, content in texts.items()}}
    day = str(body["as_of"])[:10].replace("-", "")
    version = f"{day}-{sha256_of(canonical_json(body))[:8]}"
    folder = artifacts / str(body["name"]) / version
    if folder.exists():
        return version  # the name is the content's
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        draft.chmod(0o755)
        for name, content in texts.items():
            _write_durably(draft / name, content)
        _write_durably(draft / MODEL_FILE, canonical_json(body | {"version": version}))
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return version


def _write_durably(path: Path, content: bytes) -> None:
    """On disk before it returns: champion.json may soon name this file."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load_model(
    artifacts: Path, name: str, version: str, *, schema: ServedInputs, sha256: str | None = None
) -> SegmentsModel | NextPurchaseModel:
    """One version of a model, verified.

    Args:
        artifacts: the workspace's folder of artefacts.
        name: `segments` or `next_purchase`.
        version: as `write_artifact` gave it.
        schema: what will be served to it.
        sha256: of model.json, where it is known; then it must be that.

    Raises:
        ArtifactDamaged: a file is missing or has another sha256.
        ArtifactMismatch: it needs what the schema does not serve.
    """
    description, boosters = verify(artifacts, name, version, sha256=sha256)
    kind: type[SegmentsModel] | type[NextPurchaseModel] = SegmentsModel if name == SEGMENTS else NextPurchaseModel
    return kind(description, boosters, schema=schema)


def verify(artifacts: Path, name: str, version: str, *, sha256: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """A version's model.json and the text of its boosters, every sha256 checked."""
    description = read_description(artifacts, name, version, sha256=sha256)
    folder, files = artifacts / name / version, description["files"]
    in_order = sorted(files, key=lambda file: int(file.removeprefix("booster").removesuffix(".txt")))
    return description, [_verified(folder / file, files[file]).decode() for file in in_order]


def read_description(artifacts: Path, name: str, version: str, *, sha256: str | None = None) -> dict[str, Any]:
    """A version's model.json, verified where its sha256 is known."""
    path = artifacts / name / version / MODEL_FILE
    description: dict[str, Any] = json.loads(_verified(path, sha256))
    return description


def _verified(path: Path, sha256: str | None) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactDamaged(
            f"Asked for the artefact file '{path}', which is not there. 'rapport models list' shows what is."
        ) from None
    found = sha256_of(content)
    if sha256 is not None and found != sha256:
        raise ArtifactDamaged(
            f"The artefact file '{path}' has sha256 {found[:12]}…, but {sha256[:12]}… was recorded when it was made. "
            "An artefact never changes: restore it, or promote another version with 'rapport models promote'."
        )
    return content


def read_champions(artifacts: Path) -> dict[str, dict[str, str]]:
    """`{model: {"version", "sha256"}}` of what is to be served; empty before the first promotion."""
    path = artifacts / CHAMPION_FILE
    if not path.is_file():
        return {}
    champions: dict[str, dict[str, str]] = json.loads(path.read_bytes())
    return champions


def write_champions(artifacts: Path, champions: Mapping[str, Mapping[str, str]]) -> None:
    """Replaces champion.json in one step, so that a reader sees the old or the new, never half of one."""
    artifacts.mkdir(parents=True, exist_ok=True)
    draft = artifacts / f".{CHAMPION_FILE}.{os.getpid()}"
    _write_durably(draft, canonical_json(dict(champions)))
    draft.replace(artifacts / CHAMPION_FILE)


def load_champion(artifacts: Path, name: str, schema: ServedInputs) -> SegmentsModel | NextPurchaseModel | None:
    """The version of a model that is to be served, or None before the first promotion.

    Raises:
        ArtifactRefused: it is damaged (ArtifactDamaged) or does not fit the schema (ArtifactMismatch).
    """
    champion = read_champions(artifacts).get(name)
    if champion is None:
        return None
    return load_model(artifacts, name, champion["version"], schema=schema, sha256=champion["sha256"])
