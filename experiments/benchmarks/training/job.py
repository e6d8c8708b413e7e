"""The whole training job of next purchase beside plain LightGBM on the same matrix, each in a process of its own.

The matrix is every customer's rows of the newest closed windows, as float32. The trees are those that were shipped:
their parameters, rounds and seed. Plain LightGBM gets matrix and labels ready-made from a file; the job reads
snapshots, makes inputs and labels, looks for leaks, chooses a recipe on a held-back window, is judged on a later one,
fits every member, calibrates, draws, writes artefact and card, and records the run. Of very many customers the job
learns from those that brand.yaml says (`training.customers`): plain LightGBM stands beside it on everybody's rows, and
on the rows that taught it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks.training.measure import HEADING, Cost, run
from experiments.benchmarks.training.steps import Steps
from experiments.benchmarks.training.world import new_workspace, write_export

if TYPE_CHECKING:
    from features.workspace import Workspace
    from training.dataset import WorkspaceSource

RAPPORT = str(Path(sys.executable).with_name("rapport"))
HORIZON_DAYS = 30  # one: a matrix, and a fit of it
TAUGHT = (25_000, 50_000, 100_000, 200_000)  # customers, of the curve; the last is what the others are held against
EVERYBODY, TAUGHT_IT = "everybody's rows", "the rows that taught it"
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
    "expected orders and spend": ["training.rounds.beyond:with_expected"],
    "what the next order is of, waited for": ["training.rounds.beyond:with_products"],
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
    for made in (shop / "artifacts", shop / "lake" / "snapshots"):  # of a run before: this is a first one
        shutil.rmtree(made, ignore_errors=True)
    print(HEADING, flush=True)
    print(run([*HERE, "snapshots", str(folder)]).line("its snapshots"), flush=True)
    ours = run([*HERE, "ours", str(folder)])
    print(ours.line("the training job"), flush=True)
    plain = {whose: _plain(folder, whose) for whose in (EVERYBODY, TAUGHT_IT)}
    print()
    for whose, cost in plain.items():
        _ratio(f"the job beside plain of {whose}", ours, cost)
    _show_steps(json.loads((folder / "ours.json").read_text("utf-8"))["steps"], ours)
    print(f"\n{'of the next window, by how many taught':44} {'log-loss':>9} {f'beyond {TAUGHT[-1]:,}':>22}")
    run([*HERE, "curve", str(folder)])
    print((folder / "curve.txt").read_text("utf-8"), end="")


def _plain(folder: Path, whose: str) -> Cost:
    """LightGBM alone on those rows, printed."""
    run([*HERE, "matrices", str(folder), "--rows", whose])
    cost = run([*HERE, "plain", str(folder)])
    print(cost.line(f"plain lightgbm.train of {whose}"))
    for one in json.loads((folder / "plain.json").read_text("utf-8"))["matrices"]:
        print(
            f"  {one['horizon_days']} days: {one['rows']:,} rows × {one['inputs']} inputs, {one['vary']} of which "
            f"vary; {one['rounds']} trees of {one['leaves']} leaves",
            flush=True,
        )
    return cost


def _show_steps(steps: dict[str, float], job: Cost) -> None:
    """The job's CPU by step, the most first."""
    print(f"\n{'the job: CPU by step':44} {'CPU s':>9}")
    for step, seconds in sorted(steps.items(), key=lambda one: -one[1]):
        print(f"{step:44} {seconds:9.1f}")
    print(f"{'imports, and the end of the process':44} {job.cpu_seconds - sum(steps.values()):9.1f}")


def _ratio(name: str, ours: Cost, plain: Cost) -> None:
    ratio = (ours.cpu_seconds / plain.cpu_seconds, ours.seconds / plain.seconds, ours.peak_bytes / plain.peak_bytes)
    print("{}: {:.2f} times in CPU, {:.2f} by the wall, {:.2f} in memory".format(name, *ratio))


def make_snapshots(folder: Path, _: str) -> None:
    """Everything that the job will look at, made before: it is the build's cost, not the training's."""
    from features.workspace import Workspace
    from training.rounds.next_purchase import _make_snapshots

    _make_snapshots(_source(Workspace(folder / "shop")))


def _source(workspace: Workspace, *, n_customers: int | None = None) -> WorkspaceSource:
    """What the job learns from; of as many customers as brand.yaml says, or as are asked for."""
    from training.dataset import WorkspaceSource

    source = WorkspaceSource(workspace, as_of=None)
    return source.at_most(n_customers or source.brand.training.customers)


def ours(folder: Path, _: str) -> None:
    """The job as `rapport train next-purchase` does it, in a workspace without a champion, and its steps."""
    import gc

    from features.command_line import COLLECT

    gc.set_threshold(*COLLECT)
    from features.workspace import Workspace
    from training.learning import train_models

    workspace = Workspace(folder / "shop")
    steps = Steps()
    with steps.watching(STEPS), steps.step("everything else"):
        (done,) = train_models(workspace, models=("next_purchase",), as_of=None)
    (folder / "ours.json").write_text(
        json.dumps({"version": done.version, "refused": done.refused, "steps": steps.seconds}), "utf-8"
    )


def matrices(folder: Path, whose: str) -> None:
    """The rows that each horizon of the newest version learned from, or everybody's of the same windows, as files."""
    from features.workspace import Workspace
    from training.artifact import NEXT_PURCHASE, read_description
    from training.boosting import reproducible
    from training.dataset import WorkspaceSource, rows_of
    from training.recipes import Recipe

    workspace = Workspace(folder / "shop")
    version = json.loads((folder / "ours.json").read_text("utf-8"))["version"]
    described = read_description(workspace.artifacts, NEXT_PURCHASE, version)
    source = WorkspaceSource(workspace, as_of=None) if whose == EVERYBODY else _source(workspace)
    heads: list[dict[str, Any]] = []
    for head in described["heads"]:
        horizon = int(head["horizon_days"])
        starts = [datetime.fromisoformat(start) for start, _ in head["windows"]["train"]]
        source.prepare(starts)
        rows = rows_of(source, sorted(starts, reverse=True), horizon_days=horizon)
        np.save(folder / f"X-{horizon}.npy", rows.X)
        np.save(folder / f"y-{horizon}.npy", rows.y)
        recipe = Recipe(**head["recipe"] | {"members": tuple(head["recipe"]["members"])})
        parameters = recipe.parameters(seed=0, threads=2) | reproducible(seed=0, threads=2)
        heads.append({"horizon_days": horizon, "parameters": parameters, "rounds": recipe.rounds})
    inputs = described["inputs"]
    categories = [i for i, name in enumerate(inputs) if name in described["categories"]]
    (folder / "matrices.json").write_text(json.dumps({"heads": heads, "categories": categories}), "utf-8")


def plain(folder: Path, _: str) -> None:
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


def curve(folder: Path, _: str) -> None:
    """What the window that judges says of whole fits to ever more customers, by the recipe that was shipped."""
    from features.workspace import Workspace
    from training.artifact import NEXT_PURCHASE, read_description
    from training.dataset import rows_of
    from training.evaluation import log_losses
    from training.next_purchase import fit_head
    from training.recipes import Recipe
    from training.resampling import paired_difference
    from training.some_customers import some_customers
    from training.split import gate_cutoff

    workspace = Workspace(folder / "shop")
    source, lines, losses = _source(workspace, n_customers=TAUGHT[-1]), [], {}
    version = json.loads((folder / "ours.json").read_text("utf-8"))["version"]
    told = read_description(workspace.artifacts, NEXT_PURCHASE, version)["heads"][0]["recipe"]
    recipe = Recipe(**told | {"members": tuple(told["members"])})
    judge_at = gate_cutoff(source.known_until, horizon_days=HORIZON_DAYS)
    judging = rows_of(source, [judge_at], horizon_days=HORIZON_DAYS)
    for most in TAUGHT:
        some = some_customers(source, most=most)
        head = fit_head(some, horizon_days=HORIZON_DAYS, used_at=judge_at, recipe=recipe)
        losses[most] = log_losses(judging.y, head.predict(judging.X))
    for most, of in losses.items():
        beyond = paired_difference(of - losses[TAUGHT[-1]])
        lines.append(
            f"{f'{most:,} customers':44} {of.mean():9.5f} {beyond.mean:+11.5f} ± {1.96 * beyond.standard_error:.5f}\n"
        )
    (folder / "curve.txt").write_text("".join(lines), "utf-8")


PARTS = {"snapshots": make_snapshots, "ours": ours, "matrices": matrices, "plain": plain, "curve": curve}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", choices=(EVERYBODY, TAUGHT_IT), default=EVERYBODY, help="of the matrices")
    asked = parser.parse_args()
    PARTS[asked.part](asked.folder, asked.rows)
