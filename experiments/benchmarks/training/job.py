"""The whole training job of next purchase beside plain LightGBM on the same matrix, each in a process of its own.

The same matrix: of each horizon the rows that the served fit learned from, the newest closed windows of every
customer, as float32. The same trees: LightGBM's parameters, rounds and seed of the recipe that was shipped, fitted to
all of these rows. Plain LightGBM gets matrix and labels ready-made from a file; the job reads snapshots, makes inputs
and labels, looks for leaks, chooses a recipe on a held-back window, is judged on a later one, fits every member,
calibrates, draws, writes artefact and card, and records the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.training.measure import HEADING, Cost, run
from experiments.benchmarks.training.steps import Steps
from experiments.benchmarks.training.world import new_workspace, write_export

RAPPORT = str(Path(sys.executable).with_name("rapport"))
HORIZON_DAYS = 30  # one: a matrix, and a fit of it
HERE = [sys.executable, "-m", "experiments.benchmarks.training.job"]
STEPS = {
    "read snapshots, make inputs": [
        "training.dataset:WorkspaceSource.prepare",
        "training.dataset:WorkspaceSource.snapshot",
    ],
    "read orders, make labels": ["training.dataset:read_orders", "training.dataset:label"],
    "look for leaks": ["training.fitting:refuse_leaks"],
    "LightGBM: bins and trees": ["training.fitting:Lesson._boosted"],
    "LightGBM: predict": ["training.heads:raw_scores"],
    "the regression": ["training.fitting:fit_linear", "training.fitting:design_of"],
    "repeat buying": ["training.fitting:fit_repeat_buying", "training.members:Customers.repeat_buying"],
    "calibrate": ["training.heads:fit_calibration"],
    "compare recipes on a held-back window": ["training.next_purchase:choose"],
    "gate": ["training.rounds.next_purchase:_gate", "training.rounds.next_purchase:own_checks"],
    "card": ["training.rounds.next_purchase:sections_of", "training.rounds.next_purchase:card_of"],
    "the curve, judged": ["training.rounds.beyond:with_coming"],
    "what the next order is of": ["training.rounds.beyond:with_products"],
    "drift: what the training day looked like": ["training.rounds.next_purchase:of_everybody"],
    "SHAP": ["training.rounds.next_purchase:_leanings"],
    "plots": [
        "training.rounds.next_purchase:plots_of_next_purchase",
        "training.rounds.next_purchase:plots_of_leanings",
    ],
    "artefact and MLflow": ["training.rounds.next_purchase:write_artifact", "training.rounds.next_purchase:settle"],
}


def main(folder: Path, *, n_customers: int, n_events: int) -> None:
    """Prints job and plain fit in a table, then the job's steps.

    Args:
        folder: keeps export, workspace and matrices.
        n_customers: each is a row of two windows.
        n_events: of all of them in two years.
    """
    shop = folder / "shop"
    if not (shop / "brand.yaml").is_file():
        export = folder / "export"
        write_export(export, n_events=n_events, n_customers=n_customers)
        new_workspace(shop, horizons_days=(HORIZON_DAYS,))
        run(
            [
                RAPPORT,
                "import",
                str(export / "events"),
                "--mapping",
                str(export / "mapping.yaml"),
                "--workspace",
                str(shop),
            ]
        )
    shutil.rmtree(shop / "artifacts", ignore_errors=True)  # of a run before: the job is a first one, without a champion
    run([*HERE, "snapshots", str(folder)])
    ours = run([*HERE, "ours", str(folder)])
    run([*HERE, "matrices", str(folder)])
    plain = run([*HERE, "plain", str(folder)])
    _show(folder, ours, plain)


def _show(folder: Path, ours: Cost, plain: Cost) -> None:
    told = json.loads((folder / "ours.json").read_text("utf-8"))
    fitted = json.loads((folder / "plain.json").read_text("utf-8"))
    for one in fitted["matrices"]:
        print(
            f"{one['horizon_days']} days: {one['rows']:,} rows × {one['inputs']} inputs, {one['vary']} of which vary; "
            f"{one['rounds']} trees of {one['leaves']} leaves"
        )
    print(HEADING)
    print(ours.line("the training job"))
    print(plain.line("plain lightgbm.train"))
    ratio = (ours.cpu_seconds / plain.cpu_seconds, ours.seconds / plain.seconds, ours.peak_bytes / plain.peak_bytes)
    print("the job is {:.2f} times plain in CPU, {:.2f} by the wall, {:.2f} in memory\n".format(*ratio))
    print(f"{'the job, CPU by step':44} {'CPU s':>9}")
    for name, seconds in sorted(told["steps"].items(), key=lambda one: -one[1]):
        print(f"{name:44} {seconds:9.1f}")
    print(f"{'imports, and the end of the process':44} {ours.cpu_seconds - sum(told['steps'].values()):9.1f}")


def make_snapshots(folder: Path) -> None:
    """Everything that the job will look at, made before: it is the build's cost, not the training's."""
    from features.workspace import Workspace
    from training.dataset import WorkspaceSource
    from training.rounds.next_purchase import _make_snapshots

    _make_snapshots(WorkspaceSource(Workspace(folder / "shop"), as_of=None))


def ours(folder: Path) -> None:
    """The job as `rapport train next-purchase` does it, in a workspace without a champion, and its steps."""
    from features.workspace import Workspace
    from training.learning import train_models

    workspace = Workspace(folder / "shop")
    steps = Steps()
    with steps.watching(STEPS), steps.step("everything else"):
        (done,) = train_models(workspace, models=("next_purchase",), as_of=None)
    (folder / "ours.json").write_text(
        json.dumps({"version": done.version, "refused": done.refused, "steps": steps.seconds}), "utf-8"
    )


def matrices(folder: Path) -> None:
    """The rows that each horizon of the newest version learned from, and LightGBM's parameters, as files."""
    from features.workspace import Workspace
    from training.artifact import NEXT_PURCHASE, read_description
    from training.boosting import reproducible
    from training.dataset import WorkspaceSource, rows_of
    from training.recipes import Recipe

    workspace = Workspace(folder / "shop")
    version = json.loads((folder / "ours.json").read_text("utf-8"))["version"]
    described = read_description(workspace.artifacts, NEXT_PURCHASE, version)
    source, heads = WorkspaceSource(workspace, as_of=None), []
    for head in described["heads"]:
        horizon = int(head["horizon_days"])
        starts = [datetime.fromisoformat(start) for start, _ in head["windows"]["train"]]
        rows = rows_of(source, sorted(starts, reverse=True), horizon_days=horizon)
        np.save(folder / f"X-{horizon}.npy", rows.X)
        np.save(folder / f"y-{horizon}.npy", rows.y)
        recipe = Recipe(**head["recipe"] | {"members": tuple(head["recipe"]["members"])})
        parameters = recipe.parameters(seed=0, threads=2) | reproducible(seed=0, threads=2)
        heads.append({"horizon_days": horizon, "parameters": parameters, "rounds": recipe.rounds})
    inputs = described["inputs"]
    categories = [i for i, name in enumerate(inputs) if name in described["categories"]]
    (folder / "matrices.json").write_text(json.dumps({"heads": heads, "categories": categories}), "utf-8")


def plain(folder: Path) -> None:
    """Only LightGBM: bins, trees, and the model's text written."""
    import lightgbm

    told = json.loads((folder / "matrices.json").read_text("utf-8"))
    shapes: list[dict[str, Any]] = []
    for head in told["heads"]:
        horizon = head["horizon_days"]
        X, y = np.load(folder / f"X-{horizon}.npy"), np.load(folder / f"y-{horizon}.npy")
        data = lightgbm.Dataset(X, y, categorical_feature=told["categories"], params={"verbose": -1})
        booster = lightgbm.train(head["parameters"], data, num_boost_round=head["rounds"])
        booster.save_model(folder / f"plain-{horizon}.txt")
        shapes.append(
            {"horizon_days": horizon, "rows": len(X), "inputs": X.shape[1], "rounds": head["rounds"]}
            | {"leaves": head["parameters"]["num_leaves"], "vary": len(set(booster.dump_model()["feature_infos"]))}
        )
    (folder / "plain.json").write_text(json.dumps({"matrices": shapes}), "utf-8")


PARTS = {"snapshots": make_snapshots, "ours": ours, "matrices": matrices, "plain": plain}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    PARTS[asked.part](asked.folder)
