from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from training.artifact import (
    NEXT_PURCHASE,
    SEGMENTS,
    ArtifactDamaged,
    ArtifactMismatch,
    NextPurchaseModel,
    SegmentsModel,
    load_champion,
    load_model,
    sha256_of,
    write_artifact,
    write_champions,
)
from training.calibration import IDENTITY


@dataclass(frozen=True)
class Served:
    model_inputs: tuple[str, ...] = ("n_orders", "days_since_last_order", "trait_skin_need")
    categories: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"trait_skin_need": ("dryness", "acne")})
    version: str = "v-now"


def a_booster(objective: str, *, classes: int = 1, flipped: bool = False) -> str:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(400, 2))
    y = (
        (X[:, 0] * (-1 if flipped else 1) > 0).astype(int)
        if classes == 1
        else (np.abs(X[:, 0]) * classes).astype(int) % classes
    )
    parameters = {"objective": objective, "verbose": -1, "num_threads": 1, "deterministic": True}
    if classes > 1:
        parameters["num_class"] = classes
    return str(lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=5).model_to_string())


def a_next_purchase(artifacts: Path, **changes: object) -> str:
    description = {
        "name": NEXT_PURCHASE,
        "as_of": "2011-09-10T00:00:00+00:00",
        "inputs": ["days_since_last_order", "n_orders"],
        "categories": {},
        "schema_version": "v-then",
        "heads": [{"horizon_days": h, "calibration": IDENTITY.as_dict(), "season": 1.0} for h in (7, 30)],
    } | changes
    return write_artifact(artifacts, description, [a_booster("binary"), a_booster("binary", flipped=True)])


def promote(artifacts: Path, name: str, version: str) -> None:
    digest = sha256_of((artifacts / name / version / "model.json").read_bytes())
    write_champions(artifacts, {name: {"version": version, "sha256": digest}})


def test_before_the_first_promotion_there_is_no_champion(tmp_path: Path) -> None:
    assert load_champion(tmp_path, NEXT_PURCHASE, Served()) is None


def test_a_champion_predicts_a_longer_horizon_never_below_a_shorter_one(tmp_path: Path) -> None:
    promote(tmp_path, NEXT_PURCHASE, a_next_purchase(tmp_path))
    model = load_champion(tmp_path, NEXT_PURCHASE, Served())
    assert isinstance(model, NextPurchaseModel)
    X = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    probabilities = model.predict(X)
    assert probabilities.shape == (50, 2)
    assert (np.diff(probabilities, axis=1) >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_one_row_alone_gets_what_it_gets_among_others(tmp_path: Path) -> None:
    promote(tmp_path, NEXT_PURCHASE, a_next_purchase(tmp_path))
    model = load_champion(tmp_path, NEXT_PURCHASE, Served())
    assert isinstance(model, NextPurchaseModel)
    X = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    assert np.array_equal(np.vstack([model.predict(X[i : i + 1]) for i in range(20)]), model.predict(X))


def test_inputs_are_found_by_name_wherever_the_schema_puts_them(tmp_path: Path) -> None:
    promote(tmp_path, NEXT_PURCHASE, a_next_purchase(tmp_path))
    one, other = Served(), Served(model_inputs=("days_since_last_order", "new", "n_orders"))
    here, there = load_champion(tmp_path, NEXT_PURCHASE, one), load_champion(tmp_path, NEXT_PURCHASE, other)
    assert isinstance(here, NextPurchaseModel)
    assert isinstance(there, NextPurchaseModel)
    row = {"n_orders": 0.3, "days_since_last_order": -1.0, "trait_skin_need": 1.0, "new": 5.0}
    at = [np.array([[row[name] for name in served.model_inputs]]) for served in (one, other)]
    assert np.array_equal(here.predict(at[0]), there.predict(at[1]))


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    version = a_next_purchase(tmp_path)
    promote(tmp_path, NEXT_PURCHASE, version)
    booster = tmp_path / NEXT_PURCHASE / version / "booster1.txt"
    booster.write_text(booster.read_text().replace("leaf_value=", "leaf_value=9"))
    with pytest.raises(ArtifactDamaged, match=r"booster1\.txt.*sha256"):
        load_champion(tmp_path, NEXT_PURCHASE, Served())


def test_a_changed_model_json_is_refused(tmp_path: Path) -> None:
    version = a_next_purchase(tmp_path)
    promote(tmp_path, NEXT_PURCHASE, version)
    path = tmp_path / NEXT_PURCHASE / version / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {}}))
    with pytest.raises(ArtifactDamaged, match=r"model\.json"):
        load_champion(tmp_path, NEXT_PURCHASE, Served())


def test_a_model_whose_inputs_are_not_served_is_refused_with_the_closest_names(tmp_path: Path) -> None:
    version = a_next_purchase(tmp_path, inputs=["days_since_lst_order", "n_orders"])
    with pytest.raises(ArtifactMismatch, match=r"days_since_lst_order.*Closest: 'days_since_last_order'"):
        load_model(tmp_path, NEXT_PURCHASE, version, schema=Served())


def test_a_reordered_choice_is_a_mismatch_but_an_added_one_is_not(tmp_path: Path) -> None:
    version = a_next_purchase(tmp_path, categories={"trait_skin_need": ["dryness", "acne"]})
    load_model(
        tmp_path, NEXT_PURCHASE, version, schema=Served(categories={"trait_skin_need": ("dryness", "acne", "dullness")})
    )
    with pytest.raises(ArtifactMismatch, match="trait_skin_need"):
        load_model(tmp_path, NEXT_PURCHASE, version, schema=Served(categories={"trait_skin_need": ("acne", "dryness")}))


def test_the_same_content_is_the_same_version_and_other_content_another(tmp_path: Path) -> None:
    first, again = a_next_purchase(tmp_path / "a"), a_next_purchase(tmp_path / "b")
    assert first == again
    assert first != a_next_purchase(tmp_path / "a", schema_version="other")
    one, two = (tmp_path / place / NEXT_PURCHASE / first / "model.json" for place in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_a_segments_model_gives_probabilities_that_sum_to_one(tmp_path: Path) -> None:
    description = {
        "name": SEGMENTS,
        "as_of": "2011-09-10",
        "inputs": ["n_orders", "trait_skin_need"],
        "categories": {},
        "schema_version": "v-then",
        "temperature": 1.3,
        "segments": [{"id": f"s{i}", "names": {"en": f"Kind {i}"}, "descriptions": {"en": "…"}} for i in (1, 2, 3)],
    }
    version = write_artifact(tmp_path, description, [a_booster("multiclass", classes=3)])
    model = load_model(tmp_path, SEGMENTS, version, schema=Served())
    assert isinstance(model, SegmentsModel)
    X = np.full((4, 3), np.nan, dtype=np.float32)
    assert model.predict(X).shape == (4, 3)
    assert model.predict(X).sum(axis=1) == pytest.approx(1.0)
    assert model.assign(X)[0] in model.segment_ids
    assert model.names["s2"] == {"en": "Kind 2"}
