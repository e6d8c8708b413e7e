"""Models small enough to train in a blink, written as real artefacts."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np

from features.schema import FeatureSchema
from tests.serving.tiny_world import COUPON, TIP
from training.artifact import (
    MODEL_FILE,
    NEXT_PURCHASE,
    RESPONSE,
    SEGMENTS,
    ActionFeatures,
    features_of,
    read_champions,
    sha256_of,
    write_artifact,
    write_champions,
)
from training.calibration import Calibration, fit_calibration

INPUTS = ("n_orders", "trait_skin_need")


def promote_segments(artifacts: Path, schema: FeatureSchema, *, as_of: str = "2026-03-01") -> str:
    """Two segments: those who ordered, those who did not; promoted. Gives the version."""
    X = np.array([[0.0, np.nan], [5.0, 1.0]] * 40)
    y = np.array([0, 1] * 40)
    booster = lightgbm.train(
        {"objective": "multiclass", "num_class": 2, "verbose": -1, "min_data_in_leaf": 1, "num_threads": 1},
        lightgbm.Dataset(X, y),
        num_boost_round=3,
    )
    segments = [
        {"id": "s1", "names": {"en": "Newcomers", "hi": "नए मेहमान"}, "descriptions": {"en": "No order yet."}},
        {"id": "s2", "names": {"en": "Regulars", "hi": "नियमित"}, "descriptions": {"en": "Many orders."}},
    ]
    description = _description(SEGMENTS, schema, as_of) | {"segments": segments, "temperature": 1.0}
    return promote(artifacts, description, [booster.model_to_string()])


def promote_next_purchase(artifacts: Path, schema: FeatureSchema, *, as_of: str = "2026-03-01") -> str:
    """Who ordered will order again, sooner or later; promoted. Gives the version."""
    rng = np.random.default_rng(1)
    X = np.column_stack([np.repeat([0.0, 5.0], 40), np.full(80, np.nan)])
    boosters, heads = [], []
    for days, rate in ((7, 0.2), (30, 0.5), (90, 0.8)):
        y = (rng.uniform(size=80) < np.where(X[:, 0] > 1, rate, 0.05)).astype(np.uint8)
        parameters = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 1, "num_threads": 1}
        booster = lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=10)
        calibration: Calibration = fit_calibration(np.asarray(booster.predict(X, raw_score=True)), y, kind="platt")
        heads.append({"horizon_days": days, "calibration": calibration.as_dict()})
        boosters.append(booster.model_to_string())
    return promote(artifacts, _description(NEXT_PURCHASE, schema, as_of) | {"heads": heads}, boosters)


def _description(name: str, schema: FeatureSchema, as_of: str) -> dict[str, object]:
    return {"name": name, "as_of": as_of, "inputs": list(INPUTS), "categories": {}, "schema_version": schema.version}


def promote(artifacts: Path, description: dict[str, object], boosters: list[str]) -> str:
    name = str(description["name"])
    version = write_artifact(artifacts, description, boosters)
    sha256 = sha256_of((artifacts / name / version / MODEL_FILE).read_bytes())
    write_champions(artifacts, read_champions(artifacts) | {name: {"version": version, "sha256": sha256}})
    return version


KNOWN = {action.id: features_of(action) for action in (TIP, COUPON)} | {"nothing": features_of(None)}
CONSTANT = {"kind": "constant", "weight": 1.0}


def promote_response(
    artifacts: Path,
    schema: FeatureSchema,
    *,
    silence: float,
    effects: dict[str, float],
    an_order_adds: dict[str, float] | None = None,
    reference: str = "nothing",
    as_of: str = "2026-03-01",
) -> str:
    """What silence earns, what each action adds for everybody, and for each order that the customer has; promoted.

    Args:
        artifacts: of the workspace.
        schema: of its features.
        silence: E[reward | nothing].
        effects: by action, what it adds; the model cannot speak of others.
        an_order_adds: by action, what it adds on top for each order.
        reference: the action that the effects are counted from, which earns what `silence` says.
        as_of: of the version.
    """
    slopes = an_order_adds or {}
    actions = [KNOWN.get(name, ActionFeatures(name)) for name in (reference, *effects)]
    added = [
        [
            CONSTANT | {"value": effect},
            *(
                [{"kind": "linear", "weight": 1.0, "intercept": 0.0, "coefficients": [slopes[name]]}]
                if name in slopes
                else []
            ),
        ]
        for name, effect in effects.items()
    ]
    description = _description(RESPONSE, schema, as_of) | {
        "inputs": ["n_orders"],
        "learner": "linear_t",
        "actions": [action.as_dict() for action in actions],
        "base": [CONSTANT | {"value": silence}],
        "effects": [[], *added],
        "new_actions": None,
        "design": {"columns": [["value", "n_orders"]], "mean": [0.0], "scale": [1.0]},
        "action_columns": [],
    }
    return promote(artifacts, description, [])
