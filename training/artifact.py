"""The artefact folder: models as booster text and JSON, loaded only when whole and when they fit the features.

`artifacts/<model>/<version>/` holds `model.json` (inputs in order, calibration knots, windows, fingerprint, the sha256
of each other file), `booster*.txt`, and beside them what serving has no use of (`reference.json`).
`artifacts/champion.json` maps a model's name to the version to serve and the sha256 of its model.json: one hash
therefore covers everything. Nothing in it can run code. Invariant: a version's folder appears whole or not at all; its
name is derived from its content, so the same data and seed give the same one.

ArtifactRefused (CallersMistake)
├── ArtifactDamaged      a file is missing or is not the one whose sha256 was recorded
└── ArtifactMismatch     the model needs inputs that the feature schema does not serve
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Serving knows of this room only this module, so what it needs is here too.
from features.faults import CallersMistake
from features.segment_names import read_segment_names
from training.contributions import Contributions as Contributions
from training.response.actions import ActionFeatures as ActionFeatures
from training.response.actions import features_of as features_of
from training.served.coming import Coming as Coming
from training.served.curve import INTERVAL as INTERVAL
from training.served.curve import LONGEST_DAYS as LONGEST_DAYS
from training.served.model import ArtifactMismatch as ArtifactMismatch
from training.served.model import ArtifactRefused as ArtifactRefused
from training.served.model import Matrix as Matrix
from training.served.model import ServedInputs as ServedInputs
from training.served.next_purchase import NextPurchaseModel as NextPurchaseModel
from training.served.response import ResponseModel as ResponseModel
from training.served.segments import SegmentsModel as SegmentsModel
from training.served.segments import tempered_softmax as tempered_softmax

SEGMENTS = SegmentsModel.name
NEXT_PURCHASE = NextPurchaseModel.name
RESPONSE = ResponseModel.name
MODELS = (SEGMENTS, NEXT_PURCHASE, RESPONSE)

AnyModel = SegmentsModel | NextPurchaseModel | ResponseModel
_CLASSES: dict[str, type[SegmentsModel] | type[NextPurchaseModel] | type[ResponseModel]] = {
    SEGMENTS: SegmentsModel,
    NEXT_PURCHASE: NextPurchaseModel,
    RESPONSE: ResponseModel,
}

_log = logging.getLogger("rapport.training")

MODEL_FILE = "model.json"
CHAMPION_FILE = "champion.json"


class ArtifactDamaged(ArtifactRefused):
    """A file is missing or has another sha256 than the recorded one."""


def sha256_of(content: bytes) -> str:
    """The hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """The same bytes for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False).encode()


def write_artifact(
    artifacts: Path,
    description: Mapping[str, Any],
    boosters: Sequence[str],
    *,
    beside: Mapping[str, bytes] | None = None,
) -> str:
    """Writes a model as a new version and gives that version, `YYYYMMDD-<8 hex digits of its content>`.

    Args:
        artifacts: the workspace's folder of artefacts.
        description: of the model: `name`, `as_of` (ISO), `inputs`, `categories`, `schema_version`, and what the model's
            class reads; anything that JSON holds may stand beside them.
        boosters: LightGBM's model text, one each.
        beside: other files by name, which serving does not need; they are verified with the boosters.
    """
    texts = {f"booster{i}.txt": text.encode() for i, text in enumerate(boosters)} | dict(beside or {})
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
) -> AnyModel:
    """One version of a model, verified.

    Args:
        artifacts: the workspace's folder of artefacts.
        name: one of `MODELS`.
        version: as `write_artifact` gave it.
        schema: what will be served to it.
        sha256: of model.json, where it is known; then it must be that.

    Raises:
        ArtifactDamaged: a file is missing or has another sha256.
        ArtifactMismatch: it needs what the schema does not serve.
    """
    description, boosters = verify(artifacts, name, version, sha256=sha256)
    model = _CLASSES[name](description, boosters, schema=schema)
    if isinstance(model, SegmentsModel):
        model.call(_brands_names(artifacts.parent))
    return model


def _brands_names(root: Path) -> Mapping[str, Mapping[str, str]]:
    """What the brand calls its segments; where its file is wrong, the names that were found stay."""
    try:
        return read_segment_names(root)
    except CallersMistake as mistake:
        _log.warning("the names of segments are left as training found them: %s", mistake)
        return {}


def verify(artifacts: Path, name: str, version: str, *, sha256: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """A version's model.json and the text of its boosters, every sha256 checked."""
    description = read_description(artifacts, name, version, sha256=sha256)
    folder, files = artifacts / name / version, description["files"]
    content = {file: _verified(folder / file, sha256) for file, sha256 in files.items()}
    n_boosters = sum(file.startswith("booster") for file in files)
    return description, [content[f"booster{place}.txt"].decode() for place in range(n_boosters)]


def read_beside(artifacts: Path, description: Mapping[str, Any], file: str) -> bytes | None:
    """A verified file beside a version's boosters; None where it was written without one.

    Args:
        artifacts: the workspace's folder of artefacts.
        description: the version's model.json.
        file: its name.
    """
    if file not in description["files"]:
        return None
    path = artifacts / str(description["name"]) / str(description["version"]) / file
    return _verified(path, str(description["files"][file]))


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


def load_champion(artifacts: Path, name: str, schema: ServedInputs) -> AnyModel | None:
    """The version of a model that is to be served, or None before the first promotion.

    Raises:
        ArtifactRefused: it is damaged (ArtifactDamaged) or does not fit the schema (ArtifactMismatch).
    """
    champion = read_champions(artifacts).get(name)
    if champion is None:
        return None
    return load_model(artifacts, name, champion["version"], schema=schema, sha256=champion["sha256"])
