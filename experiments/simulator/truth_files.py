"""The truth on disk: `truth/` beside the export, read by nobody but `World`."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from experiments.simulator.history import Plan
from experiments.simulator.population import Population, State
from features.faults import CallersMistake

TRUTH_FOLDER = "truth"


def write_truth(folder: Path, plan: Plan, population: Population, state: State) -> None:
    """Writes where the history has led to."""
    truth = folder / TRUTH_FOLDER
    truth.mkdir(parents=True, exist_ok=True)
    arrays = {f"population_{f.name}": getattr(population, f.name) for f in fields(Population)}
    arrays |= {f"state_{f.name}": getattr(state, f.name) for f in fields(State)}
    np.savez(truth / "world.npz", **arrays)
    told = {"customers": plan.customers, "days": plan.days, "seed": plan.seed, "end": plan.end.isoformat()}
    (truth / "plan.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_truth(folder: Path) -> tuple[Plan, Population, State]:
    """Reads what `write_truth` has written.

    Raises:
        CallersMistake: there is no truth in that folder.
    """
    truth = folder / TRUTH_FOLDER
    if not (truth / "plan.json").is_file():
        raise CallersMistake(
            f"Asked for the simulated world of '{folder}', but it has no {TRUTH_FOLDER}/plan.json. "
            f"Only a folder that 'rapport simulate --out {folder}' has written has one."
        )
    told = json.loads((truth / "plan.json").read_text(encoding="utf-8"))
    plan = Plan(told["customers"], told["days"], told["seed"], dt.date.fromisoformat(told["end"]))
    with np.load(truth / "world.npz", allow_pickle=False) as arrays:
        population = Population(**{f.name: arrays[f"population_{f.name}"] for f in fields(Population)})
        state = State(**{f.name: arrays[f"state_{f.name}"] for f in fields(State)})
    return plan, population, state
