"""Which offer to whom, on the six waves of the Starbucks data: ours beside what you would pick instead, in one run.

    .venv/bin/python -m experiments.benchmarks.models.starbucks [--workspace DIR] [--folds 3]

The three files are imported with the mappings of docs/mappings; features are the product's snapshots as of each wave,
and with them which offer came last and how many came before. The reward is what was spent within 168 hours of the wave
less all rewards paid in them; the sixth wave's window is cut off by the end of the data after 138 hours, for every arm
alike. Probabilities (0.25 for no offer, 0.075 for each of ten) are inferred from balance, as documented by nobody.

Customers are dealt into folds. Whoever chooses offers learns from the other folds, and the value of its choices is
estimated doubly robustly on this one, by one and the same model of rewards for all; intervals are by customer. An
approach of scikit-uplift is fitted once an offer, against no offer, and the offer with the largest uplift is chosen if
that is above zero.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.workspace import Workspace
from training.dataset import WorkspaceSource
from training.evaluating.response import that_differ
from training.evaluating.response_alternatives import RESPONSE, Known, Taught, alternatives
from training.overlap import Overlap, check_overlap
from training.response.campaign_log import CampaignLog
from training.response.design import design_for
from training.response.fitting import fit_response
from training.response.known_before import known_before
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "starbucks"
TRAITS = """\
  gender: {kind: fact, type: choice, choices: [female, male, other]}
  age: {kind: fact, type: number}
  income:"""
WAVES = tuple(f"wave_{hour}" for hour in (0, 168, 336, 408, 504, 576))
HOURS = 168
HOUR_US = 3_600_000_000
CONTEXT = ("last_offer", "hours_since_last_offer", "n_offers_before")
OURS = "rapport"


@dataclass(frozen=True)
class Starbucks:
    """The waves, ready to be learned from.

    Attributes:
        rows: a member and wave each; no offer first among the actions.
        completed: whether that wave's offer was completed within its window, shape `(n,)`.
        inputs: of `rows.X`.
        categories: of the categorical ones.
        overlap: of the eleven arms.
    """

    rows: ResponseRows
    completed: Floats
    inputs: tuple[str, ...]
    categories: Mapping[str, Sequence[str]]
    overlap: Overlap


@dataclass(frozen=True)
class Row:
    """One policy's line of the table: dollars a member and wave, with 95% intervals by member."""

    policy: str
    value: float
    error: float
    beyond_best_single: float
    beyond_error: float
    offered: float
    note: str = ""


def import_starbucks(folder: Path) -> Workspace:
    """A new workspace with the three files in it, as `rapport init` and `rapport import` make it."""
    import re

    from features.command_line import run_verb

    run_verb("init", str(folder))
    brand = folder / "brand.yaml"
    text = brand.read_text(encoding="utf-8").replace("  income:", TRAITS, 1)
    for name, value in {"currency": "USD", "time_zone": "America/Los_Angeles"}.items():
        text = re.sub(rf"(?m)^{name}:.*$", f"{name}: {value}", text)
    brand.write_text(text, encoding="utf-8")
    for file, mapping in (("profile.json", "profile"), ("transcript.parquet", "transcript")):
        by = str(ROOT / "docs" / "mappings" / f"starbucks_{mapping}.yaml")
        run_verb("import", str(DATA / file), "--mapping", by, "--workspace", str(folder))
    return Workspace(folder.resolve())


def read_starbucks(workspace: Workspace) -> Starbucks:
    """All six waves as response rows, with what was known before each."""
    source = WorkspaceSource(workspace)
    log = CampaignLog(workspace, source.brand)
    campaigns = log.campaigns()
    waves = [log.messages(campaigns[name]) for name in WAVES]
    persons = np.concatenate([wave.persons for wave in waves])
    keys = np.concatenate([wave.customer_keys for wave in waves])
    at_us = np.concatenate([wave.at_us for wave in waves])
    ids = np.concatenate([wave.action_ids for wave in waves]).astype(str)
    names = sorted(set(ids.tolist()) - {NOTHING.action_id})
    actions = (NOTHING, *(_features(name) for name in names))
    place = {action.action_id: i for i, action in enumerate(actions)}
    action = np.array([place[name] for name in ids.tolist()], dtype=np.intp)
    X, _ = known_before(source, keys, at_us)
    rows = ResponseRows(
        X=np.hstack([X, _context(persons, at_us, action)]),
        action=action,
        reward=_rewards(workspace, source, persons, at_us),
        propensity=np.where(action == 0, 0.25, 0.075),
        cluster=persons,
        at=at_us.astype("datetime64[us]"),
        actions=actions,
        is_inferred=True,
    )
    rows, inputs = that_differ(rows, (*source.inputs, *CONTEXT))
    known = dict(source.categories) | {"last_offer": [one.action_id for one in actions]}
    categories = {name: known[name] for name in inputs if name in known}
    checked, overlap = check_overlap(rows, inputs=inputs, categories=categories)
    completed = np.concatenate(
        [
            log.measured(campaigns[n], w, outcome="offer_completed", window_days=7.0).value
            for n, w in zip(WAVES, waves, strict=True)
        ]
    )
    return Starbucks(
        replace(checked, is_inferred=True), (completed > 0).astype(np.float64), inputs, categories, overlap
    )


def evaluate(data: Starbucks, *, folds: int = 3, seed: int = 0) -> tuple[list[Row], list[str]]:
    """Every policy's value, and which learner ours chose in each fold."""
    rows = data.rows
    fold = np.random.default_rng(seed).permutation(int(rows.cluster.max()) + 1)[rows.cluster] % folds
    said: dict[str, Floats] = {}
    rewards = np.empty((len(rows), len(rows.actions)))
    chosen: list[str] = []
    for one in range(folds):
        learn, judge = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        taught, asked = rows.taken(learn), rows.taken(judge)
        fitted = fit_response(taught, inputs=data.inputs, categories=data.categories, seed=seed)
        chosen.append(f"{fitted.learner}: {fitted.why}")
        lesson, new = _known(data, taught, asked)
        policies = {OURS: _greedy(fitted.uplift(asked.X))}
        policies |= _alternatives(data, taught, lesson, new, seed=seed)
        policies[RESPONSE] = _most_completed(data, learn, lesson, new, seed=seed)
        means = [taught.reward[taught.action == a].mean() for a in range(len(rows.actions))]
        policies["best single action"] = _everyone(int(np.argmax(means)), len(asked), len(rows.actions))
        policies["no offer to anybody"] = _everyone(0, len(asked), len(rows.actions))
        policies["random (any of the eleven)"] = np.full((len(asked), len(rows.actions)), 1.0 / len(rows.actions))
        for name, policy in policies.items():
            said.setdefault(name, np.empty((len(rows), len(rows.actions))))[judge] = policy
        rewards[judge] = _doubly_robust(lesson.X, new.X, taught, asked, seed=seed)
    single = (said["best single action"] * rewards).sum(axis=1)
    table = []
    for name, policy in said.items():
        worth = (policy * rewards).sum(axis=1)
        value, error = _mean(worth, rows.cluster)
        beyond, beyond_error = _mean(worth - single, rows.cluster)
        table.append(Row(name, value, error, beyond, beyond_error, float(1.0 - policy[:, 0].mean())))
    return sorted(table, key=lambda row: -row.value), chosen


def as_markdown(data: Starbucks, table: Sequence[Row], chosen: Sequence[str]) -> str:
    """The table, as printed."""
    n_customers = len(np.unique(data.rows.cluster))
    lines = [
        f"Starbucks, {len(data.rows):,} member-waves of {n_customers:,} members; dollars a member and wave: spent "
        f"within {HOURS} hours, rewards paid off. Probabilities are inferred (AUC of telling arms apart "
        f"{data.overlap.auc:.3f}, {data.overlap.outside:.1%} outside 0.05–0.95); doubly robust, 95% intervals.\n",
        "| policy | value | beyond the best single action | offered to |",
        "|---|---|---|---|",
    ]
    for row in table:
        beyond = "" if row.beyond_error == 0.0 else f"{row.beyond_best_single:+.3f} ± {1.96 * row.beyond_error:.3f}"
        lines.append(f"| {row.policy} | {row.value:.3f} ± {1.96 * row.error:.3f} | {beyond} | {row.offered:.1%} |")
    return "\n".join([*lines, "", *(f"- Ours in fold {i}: {why}" for i, why in enumerate(chosen))])


def _features(name: str) -> ActionFeatures:
    """`discount_10_7`: its kind and what must be spent for it; the reward itself is paid inside the outcome."""
    kind = name.split("_")[0]
    return ActionFeatures(name, "offer", incentive="none" if kind == "informational" else "amount", tags=(kind,))


def _context(persons: NDArray[np.int64], at_us: NDArray[np.int64], action: Ints) -> NDArray[np.float32]:
    """Of each member and wave: which offer came last before it, how long ago, and how many there were."""
    context = np.full((len(persons), len(CONTEXT)), np.nan, dtype=np.float32)
    context[:, 2] = 0.0
    last: dict[int, tuple[int, int, int]] = {}
    for i in np.lexsort((at_us, persons)).tolist():
        person = int(persons[i])
        if person in last:
            offer, when, n = last[person]
            context[i] = (offer, (int(at_us[i]) - when) / HOUR_US, n)
        if action[i]:
            n = last[person][2] if person in last else 0
            last[person] = (int(action[i]), int(at_us[i]), n + 1)
    return context


def _rewards(
    workspace: Workspace, source: WorkspaceSource, persons: NDArray[np.int64], at_us: NDArray[np.int64]
) -> Floats:
    """Spent in [wave, wave + 168 h) less the rewards paid in it; a completion that the file has twice counts once."""
    import duckdb
    import pyarrow as pa

    from features.lake import Lake

    rows = pa.table({"row": np.arange(len(persons)), "person": persons, "at_us": at_us})
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        Lake(workspace.lake).register(connection)
        connection.register("waves", rows)
        found = connection.execute(
            """
            WITH money AS (
                SELECT customer_key, epoch_us(occurred_at) AS at_us, total AS amount FROM events WHERE event = $order
                UNION ALL
                SELECT customer_key, epoch_us(occurred_at), -coalesce(value, 0.0) AS amount FROM (
                    SELECT DISTINCT customer_key, occurred_at, action_id, value FROM events WHERE event = $completed
                )
            )
            SELECT row, amount FROM waves JOIN money ON customer_key = person
                AND money.at_us >= waves.at_us AND money.at_us < waves.at_us + $reach
            ORDER BY row, money.at_us, amount
            """,
            {
                "order": source.brand.events.order,
                "completed": source.brand.events.outcome_measured,
                "reach": HOURS * HOUR_US,
            },
        ).fetchnumpy()
    place, amount = np.asarray(found["row"], dtype=np.int64), np.asarray(found["amount"], dtype=np.float64)
    return np.bincount(place, weights=amount, minlength=len(persons)).astype(np.float64)


def _known(data: Starbucks, taught: ResponseRows, asked: ResponseRows) -> tuple[Known, Known]:
    X, new = taught.X.astype(np.float64), asked.X.astype(np.float64)
    design = design_for(X, inputs=data.inputs, categories=data.categories)
    places = {name: place for place, name in enumerate(data.inputs)}
    return Known(X, design.of(X, places)), Known(new, design.of(new, places))


def _alternatives(data: Starbucks, taught: ResponseRows, lesson: Known, new: Known, *, seed: int) -> dict[str, Floats]:
    """Each approach of scikit-uplift, fitted once an offer against no offer."""
    categorical = tuple(place for place, name in enumerate(data.inputs) if name in data.categories)
    found: dict[str, Floats] = {}
    for name, fit in alternatives().items():
        if name == RESPONSE:
            continue
        uplift = np.zeros((len(new.X), len(taught.actions)))
        for offer in range(1, len(taught.actions)):
            pair = (taught.action == offer) | (taught.action == 0)
            given = Taught(
                Known(lesson.X[pair], lesson.Z[pair]),
                taught.action[pair] == offer,
                taught.reward[pair],
                categorical,
                seed,
            )
            uplift[:, offer] = fit(given, new)
        found[name] = _greedy(uplift)
    return found


def _most_completed(data: Starbucks, learn: Ints, lesson: Known, new: Known, *, seed: int) -> Floats:
    """The offer that each member most likely completes: what is ranked by where nobody kept a control."""
    import lightgbm

    taught = data.rows.taken(learn)
    offered = taught.action > 0
    X = np.column_stack([lesson.X[offered], taught.action[offered]])
    parameters: dict[str, Any] = {
        "objective": "binary",
        "num_threads": 1,
        "verbose": -1,
        "deterministic": True,
        "seed": seed,
    }
    data_set = lightgbm.Dataset(
        X, data.completed[learn][offered], categorical_feature=[X.shape[1] - 1], params={"verbose": -1}
    )
    booster = lightgbm.train(parameters, data_set, num_boost_round=100)
    said = np.full((len(new.X), len(taught.actions)), -1.0)
    for offer in range(1, len(taught.actions)):
        said[:, offer] = booster.predict(np.column_stack([new.X, np.full(len(new.X), offer)]))
    return _greedy(said)


def _doubly_robust(X: Floats, new: Floats, taught: ResponseRows, asked: ResponseRows, *, seed: int) -> Floats:
    """Doubly robust rewards of every action, `(n, n_actions)`: a member's expected reward and the action's own mean."""
    import lightgbm

    parameters: dict[str, Any] = {
        "objective": "regression", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 100, "num_threads": 1,
        "verbose": -1, "deterministic": True, "seed": seed,
    }  # fmt: skip
    booster = lightgbm.train(
        parameters, lightgbm.Dataset(X, taught.reward, params={"verbose": -1}), num_boost_round=150
    )
    left = taught.reward - np.asarray(booster.predict(X))
    offset = np.array([left[taught.action == a].mean() for a in range(len(taught.actions))])
    rewards: Floats = np.asarray(booster.predict(new), dtype=np.float64)[:, None] + offset[None, :]
    place = np.arange(len(asked))
    rewards[place, asked.action] += (asked.reward - rewards[place, asked.action]) / asked.propensity
    return rewards


def _greedy(values: Floats) -> Floats:
    """One for the action with the largest value, the first of them being no offer."""
    policy = np.zeros(values.shape)
    policy[np.arange(len(values)), values.argmax(axis=1)] = 1.0
    return policy


def _everyone(action: int, n: int, n_actions: int) -> Floats:
    policy = np.zeros((n, n_actions))
    policy[:, action] = 1.0
    return policy


def _mean(values: Floats, cluster: NDArray[np.int64]) -> tuple[float, float]:
    """With its standard error by customer."""
    sums = np.bincount(np.unique(cluster, return_inverse=True)[1], weights=values - values.mean())
    n = len(sums)
    return float(values.mean()), float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(values))


def tables(workspace: Workspace | None = None, *, folds: int = 3) -> str:
    """The table, from a workspace that holds the data, or from a new one."""
    with tempfile.TemporaryDirectory() as folder:
        place = workspace or import_starbucks(Path(folder) / "starbucks")
        data = read_starbucks(place)
        return as_markdown(data, *evaluate(data, folds=folds))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="one that holds the data already")
    parser.add_argument("--folds", type=int, default=3)
    told = parser.parse_args(arguments)
    print(tables(Workspace(told.workspace.resolve()) if told.workspace else None, folds=told.folds))


if __name__ == "__main__":
    main()
