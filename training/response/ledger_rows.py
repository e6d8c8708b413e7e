"""Our own decisions as response rows: what was drawn, with which probability, and what followed for whoever was asked.

*Propensity.* A customer is held out for ever or not at all, and the policy draws for the others. With `h` the share
that is held out and P the policy's distribution, both logged with the decision,

    P(action | what was known) = h [action is what held-out customers get] + (1 − h) P(action)

which is silence where the brand would speak first, and the placement's baseline where the customer did, so that
held-out customers and the policy's own silence teach together. Where nobody drew (the policy could not, and the
placement's fallback answered) there is nothing to learn: those decisions are left out, like ranked sets, whose later
places depend on the earlier ones, and windows that are still open.

*Several decisions a window.* A held-out customer's window then lacks every message, while whoever got this one has the
others too: their difference is what the whole programme brings, not what one action adds to it. So the held out are
left out there and h is 0: the policy's own silence teaches, among all else that was said.

*Reward.* What the customer did within the attribution window, whether or not it was joined to this decision: joining
goes by clicks and tokens, which only exist where something was said, and would credit messages with what comes anyway.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from experiments.earnings import CataloguesThen, Conversion, Worths
from experiments.records import HOLDOUT
from features.catalogue import NOTHING, Catalogue, load_catalogue
from features.faults import CallersMistake
from features.lake import instant_us
from features.owners import persons
from training.dataset import WorkspaceSource
from training.response.actions import NOTHING as NOTHING_FEATURES
from training.response.actions import ActionFeatures, features_of
from training.response.known_before import known_before, starts_of
from training.response.rows import ResponseRows

_DECISIONS = """
SELECT customer_key, decided_at, placement, initiated_by, arm, action_id, {holdout_rate}, arm_probability, distribution,
       coalesce(json_extract(record, '$.versions.catalogue'), ''),
       coalesce(json_extract(record, '$.policy_parameters'), '{{}}') <> '{{}}',
       {slots} IS NOT NULL, decision_id
FROM decisions WHERE decided_at >= ? AND decided_at < ? ORDER BY decided_at, decision_id
"""
_CONVERSIONS = """
SELECT customer_key, occurred_at, coalesce(goal, ''), value FROM outcomes
WHERE outcome = 'converted' AND coalesce(is_machine, 0) = 0 AND occurred_at >= ? AND occurred_at < ?
ORDER BY occurred_at, outcome_id
"""

OPEN, NOT_DRAWN, LISTS, NOT_KNOWN, UNKNOWN_CUSTOMER = (
    "their window had not closed",
    "nobody drew: a fallback or an answer off the script",
    "ranked sets of several actions",
    "the probability of what was done is not known",
    "nothing was known of the customer on that day's start",
)
HELD_OUT_OF_ALL = (
    "of customers held out of everything: decisions lie within each other's windows, so that these show what all "
    "messages together bring; what one adds is told by the policy's own silence"
)

SAME_WINDOW = 0.95  # of an attribution window: decisions that are closer share what follows them
SOME = 0.05  # of the decisions: as many may be followed by another within their window


@dataclass(frozen=True, slots=True)
class _Decided:
    """One decision that can teach."""

    customer_key: int
    at_us: int
    action_id: str
    version: str
    probabilities: dict[str, float]
    decision_id: str


def ledger_rows(
    source: WorkspaceSource, *, since: datetime | None = None, until: datetime | None = None
) -> ResponseRows:
    """The rows of the decisions made in `[since, until)` whose attribution window closed before what is known ends.

    Args:
        source: of features; what it does not know yet is not read.
        since: aware; None for the first decision.
        until: aware; None for the last.

    Raises:
        CallersMistake: there is no decision to learn from, with why each is left out.
    """
    window = timedelta(days=source.brand.rewards.attribution_days)
    left_out: Counter[str] = Counter()
    decided, conversions = _read(source, window=window, since=since, until=until, left_out=left_out)
    if not decided:
        raise _nothing_to_learn_from(left_out)
    in_use = load_catalogue(source.workspace, source.brand)
    catalogues = CataloguesThen(source.workspace, in_use=in_use)
    keys = np.array([one.customer_key for one in decided], dtype=np.int64)
    at_us = np.array([one.at_us for one in decided], dtype=np.int64)
    X, is_known = known_before(source, keys, starts_of(at_us))
    left_out[UNKNOWN_CUSTOMER] += int((~is_known).sum())
    joined = persons(source.workspace)
    cluster = np.array([joined.get(int(key), int(key)) for key in keys], dtype=np.int64)
    followed = _followed(conversions, joined, cluster, at_us, window_us=window // timedelta(microseconds=1))
    worths = Worths.of(source.brand, in_use)
    actions, place = _actions(decided, catalogues, in_use)
    probabilities = _probability_of_each(decided, actions)
    return ResponseRows(
        X=X,
        action=place,
        reward=np.array(
            [
                worths.reward(what, catalogues.action(one.action_id, version=one.version)) if what else 0.0
                for one, what in zip(decided, followed, strict=True)
            ]
        ),
        propensity=np.array([min(one.probabilities[one.action_id], 1.0) for one in decided]),
        cluster=cluster,
        at=at_us.astype("datetime64[us]"),
        actions=actions,
        available=probabilities > 0.0,
        probabilities=probabilities,
        left_out={why: n for why, n in left_out.items() if n},
        decision_id=np.array([one.decision_id for one in decided]),
    ).taken(is_known)


def _read(
    source: WorkspaceSource,
    *,
    window: timedelta,
    since: datetime | None,
    until: datetime | None,
    left_out: Counter[str],
) -> tuple[list[_Decided], list[tuple[int, int, str, float | None]]]:
    """The decisions that can teach, and every conversion from the first of them on."""
    if not source.workspace.database.is_file():
        return [], []
    known_until = instant_us(source.known_until)
    begin, end = (instant_us(since) if since else 0), (instant_us(until) if until else known_until)
    baselines = {name: placement.baseline for name, placement in source.brand.placements.items()}
    with closing(sqlite3.connect(source.workspace.database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone():
            return [], []
        rows = connection.execute(_decisions_query(connection), (begin, end)).fetchall()
        closed_before = instant_us(source.known_until - window)
        together = _lie_within_each_other(rows, persons(source.workspace), window=window)
        decided = list(
            _teaching(rows, closed_before=closed_before, baselines=baselines, together=together, left_out=left_out)
        )
        return decided, connection.execute(_CONVERSIONS, (begin, known_until)).fetchall()


def _lie_within_each_other(rows: Sequence[tuple[object, ...]], joined: dict[int, int], *, window: timedelta) -> bool:
    """Whether more than a few decisions of a person are followed by another of theirs within the window."""
    keys = [int(row[0]) for row in rows]  # type: ignore[call-overload]
    person = np.array([joined.get(key, key) for key in keys], dtype=np.int64)
    at_us = np.array([row[1] for row in rows], dtype=np.int64)
    order = np.lexsort((at_us, person))
    soon = np.diff(at_us[order]) < SAME_WINDOW * (window // timedelta(microseconds=1))
    again = int((soon & (np.diff(person[order]) == 0)).sum())
    return again > SOME * len(rows)


def _probability_of_each(decided: Sequence[_Decided], actions: Sequence[ActionFeatures]) -> NDArray[np.float64]:
    """P(each action) of anybody there, shape `(n, n_actions)`; 0 of what could not be done."""
    of_id = {action.action_id: place for place, action in enumerate(actions)}
    probabilities = np.zeros((len(decided), len(actions)))
    for row, one in enumerate(decided):
        for action_id, probability in one.probabilities.items():
            if action_id in of_id:
                probabilities[row, of_id[action_id]] = probability
    return probabilities


def _decisions_query(connection: sqlite3.Connection) -> str:
    """Columns that a ledger of an earlier version does not have are null."""
    there = {str(row[1]) for row in connection.execute("PRAGMA table_info(decisions)")}
    return _DECISIONS.format(**{name: name if name in there else "NULL" for name in ("holdout_rate", "slots")})


def _teaching(
    rows: Sequence[tuple[object, ...]],
    *,
    closed_before: int,
    baselines: dict[str, str],
    together: bool,
    left_out: Counter[str],
) -> Iterator[_Decided]:
    for row in rows:
        key, at_us, placement, by, arm, action_id, rate, arm_probability, distribution, version, drawn, is_list, of = (
            row
        )
        if int(at_us) >= closed_before:  # type: ignore[call-overload]
            left_out[OPEN] += 1
        elif is_list:
            left_out[LISTS] += 1
        elif not drawn:
            left_out[NOT_DRAWN] += 1
        elif together and arm == HOLDOUT:
            left_out[HELD_OUT_OF_ALL] += 1
        else:
            is_held_out = arm == HOLDOUT
            share = rate if rate is not None else (arm_probability if is_held_out else 0.0)
            share = 0.0 if together else share
            # Whoever is held out is told nothing where the brand speaks first, whatever the placement's baseline.
            said = str(action_id) if is_held_out else NOTHING if by == "brand" else None
            probabilities = _probabilities(
                json.loads(str(distribution)),
                held_out=float(share),  # type: ignore[arg-type]
                baseline=said or baselines.get(str(placement), NOTHING),
            )
            if not probabilities.get(str(action_id), 0.0) > 0.0:
                left_out[NOT_KNOWN] += 1
                continue
            yield _Decided(int(key), int(at_us), str(action_id), str(version), probabilities, str(of))  # type: ignore[call-overload]


def _probabilities(distribution: dict[str, float], *, held_out: float, baseline: str) -> dict[str, float]:
    """P(action) of anybody, held out or not; an action's channels together."""
    told: dict[str, float] = {}
    for key, probability in distribution.items():
        action_id = key.partition("@")[0]
        told[action_id] = told.get(action_id, 0.0) + (1.0 - held_out) * float(probability)
    if held_out > 0.0:
        told[baseline] = told.get(baseline, 0.0) + held_out
    return told


def _followed(
    conversions: Sequence[tuple[int, int, str, float | None]],
    joined: dict[int, int],
    cluster: NDArray[np.int64],
    at_us: NDArray[np.int64],
    *,
    window_us: int,
) -> list[list[Conversion]]:
    """What each decision's person reached in `[decided, decided + window)`."""
    of_person: dict[int, list[tuple[int, Conversion]]] = {}
    for key, occurred, goal, value in conversions:
        of_person.setdefault(joined.get(key, key), []).append((occurred, Conversion(goal, value)))
    found: list[list[Conversion]] = []
    for person, at in zip(cluster.tolist(), at_us.tolist(), strict=True):
        theirs = of_person.get(person, ())
        found.append([what for occurred, what in theirs if at <= occurred < at + window_us])
    return found


def _actions(
    decided: Sequence[_Decided], catalogues: CataloguesThen, in_use: Catalogue
) -> tuple[tuple[ActionFeatures, ...], NDArray[np.intp]]:
    """The actions that were taken, `nothing` first, as the newest catalogue that had each knows it."""
    versions: dict[str, str] = {}
    for one in decided:
        versions[one.action_id] = one.version
    now = {action.id: action for action in in_use.actions}
    features: dict[str, ActionFeatures] = {NOTHING: NOTHING_FEATURES}
    for action_id in sorted(versions):
        action = now.get(action_id) or catalogues.action(action_id, version=versions[action_id])
        if action_id != NOTHING:
            features[action_id] = ActionFeatures(action_id) if action is None else features_of(action)
    place = {action_id: i for i, action_id in enumerate(features)}
    return tuple(features.values()), np.array([place[one.action_id] for one in decided], dtype=np.intp)


def _nothing_to_learn_from(left_out: Counter[str]) -> CallersMistake:
    told = "; ".join(f"{n:,}: {why}" for why, n in left_out.most_common()) or "there is none yet"
    return CallersMistake(
        f"Asked to learn from the ledger's decisions, but none can teach ({told}). Decisions teach when a policy drew "
        "them and their attribution window has passed; of a past campaign `rapport evaluate response` tells today."
    )
