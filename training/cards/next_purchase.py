"""The card of the next purchase: its windows, how good it is for whom, what it leans on, its limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.schema import FeatureSchema
from training.cards.beyond import beyond
from training.cards.card import Section, Table
from training.cards.intervals import Interval, auc_interval, excess_interval, loss_interval, share_interval
from training.dataset import WorkspaceSource
from training.declared import asked_for
from training.evaluation import calibration_curve, log_losses
from training.groups import groups_of
from training.next_purchase import Judged, Trained
from training.shapley import Leaning

SMALLEST_GROUP = 50  # customers: of fewer, a share has an interval of more than ten points

USE = (
    "It says how probable it is that a customer orders at least once within each horizon, counted from the instant of "
    "asking. It is meant for ranking and valuing messages and offers, and for sizing audiences.",
)
LIMITS = (
    "It foretells what customers do by themselves and with the messages that they got; it does not say what a message "
    "changes. It is no ground for refusing anybody a service, a price or credit.",
    "Level: probabilities are set by the newest closed window and last year's season. A change that nobody has seen "
    "yet (a new price, a closed channel) moves the level before the model knows it.",
    "Customers who are new, or who came by a way that was not there when it learned, are judged by those like them.",
    "Figures above are of one window: the intervals hold the chance of these customers, not that of the season.",
)
WINDOWS = (
    "Inputs are as of a window's start, what happened is what was ordered inside it. The window that judged taught "
    "nothing to the fit that it judged; the served fit has the same recipe and learned up to the newest one."
)


def sections_of(
    trained: Trained, source: WorkspaceSource, leanings: Mapping[int, Sequence[Leaning]], *, schema: FeatureSchema
) -> list[Section]:
    """The middle of the card.

    Args:
        trained: what is written, and what it was judged by.
        source: of the groups that customers were in.
        leanings: what each horizon's trees lean on, the most first.
        schema: what inputs mean.
    """
    sections = [Section("What it says, and for what", USE), _windows(trained), _recipes(trained, source)]
    for one in trained.judged:
        sections += [_quality(one), _by_group(one, source)]
    sections += beyond(trained.description)
    sections += [_leanings(horizon, of, schema) for horizon, of in leanings.items()]
    refused = tuple(f"{horizon} days: {why}" for horizon, why in trained.refused.items())
    return [*sections, Section("Limits", (*LIMITS, *refused))]


def _windows(trained: Trained) -> Section:
    rows = []
    for head in trained.description["heads"]:
        for use, windows in head["windows"].items():
            rows += [(f"{head['horizon_days']} days", use, start[:10], end[:10]) for start, end in windows]
    return Section(
        "Data windows",
        (WINDOWS,),
        (Table(("horizon", "used to", "from", "until"), tuple(rows)),),
    )


def _recipes(trained: Trained, source: WorkspaceSource) -> Section:
    names = ("members", "rounds", "num_leaves", "learning_rate", "min_data_in_leaf", "calibration")
    rows = []
    for head in trained.description["heads"]:
        recipe = head["recipe"]
        rows.append(
            (f"{head['horizon_days']} days", *(_shown(recipe.get(name)) for name in names), _shown(head["season"]))
        )
    asked = ", ".join(f"{name} {value}" for name, value in asked_for(source).items())
    chosen = tuple(
        f"{head['horizon_days']} days: {head['because']}."
        for head in trained.description["heads"]
        if head.get("because")
    )
    declared = (f"brand.yaml asks of its trees: {asked}.",) if asked else ()
    return Section("How it is made", (*chosen, *declared), (Table(("horizon", *names, "season"), tuple(rows)),))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "—" if value is None else str(value)


def _quality(one: Judged) -> Section:
    y, said = one.y.astype(np.float64), one.probability
    quality = one.quality()
    rows: list[tuple[str, str]] = [
        ("customers", f"{quality.n:,}"),
        ("share who ordered", str(share_interval(y))),
        ("mean probability said", f"{quality.mean_probability:.1%}"),
        ("said less happened", str(excess_interval(said, y))),
        ("log-loss", str(loss_interval(log_losses(one.y, said), y))),
        ("log-loss of saying the known rate", f"{one.loss_of_constant():.4f}"),
        ("Brier", str(loss_interval((said - y) ** 2, y))),
        ("AUC", str(auc_interval(one.y, said))),
        ("calibration slope", "—" if math.isnan(quality.calibration_slope) else f"{quality.calibration_slope:.3f}"),
    ]
    bins = tuple((f"{s:.1%}", f"{h:.1%}", f"{n:,}") for s, h, n in calibration_curve(one.y, said))
    return Section(
        f"How good it is: {one.horizon_days} days",
        (f"Judged on the window from {one.as_of:%Y-%m-%d}. In brackets the 95% interval over customers.",),
        (Table(("figure", "value"), tuple(rows)), Table(("said", "happened", "customers"), bins)),
    )


def _by_group(one: Judged, source: WorkspaceSource) -> Section:
    rows, few = [], 0
    for kind, names in groups_of(source, one.as_of).items():
        for name, place in _sorted(names):
            if len(place) < SMALLEST_GROUP:
                few += 1
                continue
            y, said = one.y[place], one.probability[place]
            happened = y.astype(np.float64)
            figures: tuple[Interval, ...] = (
                share_interval(happened),
                excess_interval(said, happened),
                loss_interval(log_losses(y, said), happened),
                auc_interval(y, said),
            )
            rows.append((kind, name, f"{len(place):,}", *map(str, figures)))
    left_out = (f"{few} groups of fewer than {SMALLEST_GROUP} customers are left out.",) if few else ()
    return Section(
        f"For whom: {one.horizon_days} days",
        ("By segment, stage, locale and channel, and by each trait that the brand calls sensitive.", *left_out),
        (Table(("", "group", "customers", "ordered", "said less happened", "log-loss", "AUC"), tuple(rows)),),
    )


def _sorted(names: NDArray[np.object_]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    for name in sorted(set(names.tolist())):
        yield str(name), np.flatnonzero(names == name)


def _leanings(horizon: int, leanings: Sequence[Leaning], schema: FeatureSchema) -> Section:
    rows = tuple((one.name, f"{one.mean_size:.3f}", one.direction, schema.column(one.name).meaning) for one in leanings)
    return Section(
        f"What its trees lean on: {horizon} days",
        ("Mean size of each input's SHAP value, in log-odds, over customers of the window that judged.",),
        (Table(("input", "mean |SHAP|", "more of it means", "meaning"), rows),),
    )
