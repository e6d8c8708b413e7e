"""Which version is served: the gate that a challenger passes, promotion, and the way back.

What the gate asks is in `training.gating`. Every change is a line in `artifacts/promotions.jsonl`; `champion.json` is
replaced in one step, and by one at a time: it holds every model's champion, so whoever read it before somebody else
wrote it would take theirs back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.faults import CallersMistake, closest_hint
from features.locks import queued
from training.artifact import (
    MODEL_FILE,
    MODELS,
    RESPONSE,
    ServedInputs,
    canonical_json,
    load_model,
    read_champions,
    sha256_of,
    write_champions,
)
from training.gating import Gate

LOG_FILE = "promotions.jsonl"
LOCK_FILE = "promotions.lock"
GATE_FILE = "gate.json"


def record_gate(artifacts: Path, name: str, version: str, gate: Gate) -> None:
    """Keeps the verdict beside the version."""
    (artifacts / name / version / GATE_FILE).write_bytes(canonical_json(gate.as_dict()))


def read_gate(artifacts: Path, name: str, version: str) -> dict[str, Any] | None:
    """The verdict on a version, or None where it was never judged."""
    path = artifacts / name / version / GATE_FILE
    return json.loads(path.read_bytes()) if path.is_file() else None


def versions(artifacts: Path, name: str) -> list[str]:
    """Every version there is, the oldest as_of first."""
    folder = artifacts / name
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if (path / MODEL_FILE).is_file())


def promote(
    artifacts: Path,
    name: str,
    version: str,
    *,
    schema: ServedInputs,
    force: bool = False,
    reason: str = "promote",
) -> bool:
    """Makes a version the champion; False where it already was.

    Args:
        artifacts: the workspace's folder of artefacts.
        name: of the model.
        version: to serve from now on.
        schema: the features of today, which it must fit, forced or not: else nothing could be served.
        force: although the gate did not pass; the log says so.
        reason: for the log.

    Raises:
        CallersMistake: there is no such version, or the gate has not passed it against the champion of today.
        ArtifactRefused: a file of it is damaged, or it does not fit the schema.
    """
    require_version(artifacts, name, version)
    with queued(artifacts / LOCK_FILE):
        champion = read_champions(artifacts).get(name, {}).get("version")
        if champion == version:
            return False
        gate = read_gate(artifacts, name, version)
        refusal = _refusal(gate, champion)
        if refusal and not force:
            raise CallersMistake(
                f"Asked to promote {name} {version}, but {refusal}. A challenger passes the gate of docs/models.md on "
                f"a window that neither knew: train anew, or say 'rapport models promote {name} {version} --force'."
            )
        _replace(artifacts, name, version, schema=schema, reason=reason, forced=bool(refusal), previous=champion)
    return True


def rollback(artifacts: Path, name: str, *, schema: ServedInputs) -> str | None:
    """Makes the champion before this one the champion again, and gives its version.

    Before the first response model came the rates: rolled back from that, none is served, and it gives None.

    Raises:
        CallersMistake: there was none.
        ArtifactRefused: a file of it is damaged, or it does not fit the schema.
    """
    require_model(name)
    artifacts.mkdir(exist_ok=True)  # before the first training there is none
    with queued(artifacts / LOCK_FILE):
        return _rolled_back(artifacts, name, schema=schema)


def require_model(name: str) -> None:
    """Refuses a name that is no model's."""
    if name not in MODELS:
        hint = closest_hint(name, MODELS)
        raise CallersMistake(f"Asked for the model '{name}'; there are {', '.join(MODELS)}.{hint}")


def require_version(artifacts: Path, name: str, version: str) -> None:
    """Refuses a version that is not there, with the closest that is."""
    require_model(name)
    known = versions(artifacts, name)
    if version not in known:
        raise CallersMistake(
            f"Asked for {name} version '{version}'; there are {', '.join(known) or 'none yet'}."
            + closest_hint(version, known)
        )


def model_of(artifacts: Path, version: str) -> str:
    """Which model that is a version of.

    Raises:
        CallersMistake: of none, with the closest there is.
    """
    known = {one: name for name in MODELS for one in versions(artifacts, name)}
    if version not in known:
        raise CallersMistake(
            f"Asked for the version '{version}'; there are {', '.join(sorted(known)) or 'none yet'}."
            + closest_hint(version, known)
        )
    return known[version]


def _refusal(gate: Mapping[str, Any] | None, champion: str | None) -> str | None:
    if gate is None:
        return "no gate has judged it"
    if not gate["passed"]:
        failed = "; ".join(f"{c['question']}: {c['answer']}" for c in gate["checks"] if not c["passed"])
        return f"its gate did not pass ({failed})"
    if gate["champion"] != champion:
        return f"it was judged beside {gate['champion'] or 'no champion'}, and the champion is {champion} now"
    return None


def _rolled_back(artifacts: Path, name: str, *, schema: ServedInputs) -> str | None:
    champion = read_champions(artifacts).get(name, {}).get("version")
    before = next((line["previous"] for line in _log(artifacts, name) if line["version"] == champion), None)
    if champion is not None and before is None and name == RESPONSE:
        _withdraw(artifacts, name, champion)
        return None
    if champion is None or before is None:
        raise CallersMistake(
            f"Asked to roll back {name}, but no champion came before {champion or 'the first one'}. "
            f"Promote one of 'rapport models list' instead."
        )
    require_version(artifacts, name, before)
    previous = _before(artifacts, name, before)
    _replace(artifacts, name, before, schema=schema, reason="rollback", forced=False, previous=previous)
    return str(before)


def _withdraw(artifacts: Path, name: str, champion: str) -> None:
    """Leaves a model without a champion."""
    _note(artifacts, name, None, previous=champion, reason="rollback", forced=False)
    champions = read_champions(artifacts)
    champions.pop(name, None)
    write_champions(artifacts, champions)


def _replace(
    artifacts: Path,
    name: str,
    version: str,
    *,
    schema: ServedInputs,
    reason: str,
    forced: bool,
    previous: str | None,
) -> None:
    """Changes nothing before the version has been loaded as serving will load it."""
    digest = sha256_of((artifacts / name / version / MODEL_FILE).read_bytes())
    load_model(artifacts, name, version, schema=schema, sha256=digest)
    _note(artifacts, name, version, previous=previous, reason=reason, forced=forced)
    write_champions(artifacts, read_champions(artifacts) | {name: {"version": version, "sha256": digest}})


def _note(artifacts: Path, name: str, version: str | None, *, previous: str | None, reason: str, forced: bool) -> None:
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": name,
        "version": version,
        "previous": previous,
        "reason": reason,
        "forced": forced,
    }
    with (artifacts / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _log(artifacts: Path, name: str) -> Sequence[dict[str, Any]]:
    """The lines about one model, the newest first."""
    path = artifacts / LOG_FILE
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [line for line in reversed(lines) if line["model"] == name]


def _before(artifacts: Path, name: str, version: str) -> str | None:
    """What was champion when this version first became one: a second rollback goes further back, not forth."""
    lines = [line for line in _log(artifacts, name) if line["version"] == version]
    return lines[-1]["previous"] if lines else None
