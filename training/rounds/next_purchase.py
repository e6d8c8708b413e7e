"""The next purchase's round: horizons that are of no use are left out, the others are judged together."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from training.artifact import (
    NEXT_PURCHASE,
    ArtifactRefused,
    NextPurchaseModel,
    load_champion,
    read_champions,
    verify,
    write_artifact,
)
from training.backtesting import as_dicts, backtest, lines, metrics
from training.calibration import FloatArray
from training.cards.common import card_of
from training.cards.next_purchase import sections_of
from training.coming import cutoffs_of_curve
from training.dataset import WorkspaceSource
from training.declared import asked_for
from training.drift.keeping import of_everybody
from training.evaluation import log_losses
from training.expected import cutoffs_of_expected
from training.gating import (
    Check,
    Gate,
    better_beyond_noise,
    better_by_margin,
    calibrated,
    fast_enough,
    harmless,
    not_yet,
)
from training.groups import as_old_as, groups_of, large
from training.next_purchase import Judged, Trained, cutoffs_of, number_boosters, train_next_purchase
from training.plots import plots_of_leanings, plots_of_next_purchase
from training.registry import Registry
from training.resampling import FEW_DRAWS, Difference, mean_over_windows, paired_difference
from training.rounds.beyond import details_of_beyond, lines_of_beyond, with_beyond
from training.rounds.expected_gate import expected_checks
from training.rounds.settling import Round, open_for_another, settle, tags_of
from training.shapley import Leaning, leanings_of
from training.some_customers import lines_of
from training.split import gate_cutoff, whole_weeks
from training.tuning import Budget, Tuned, tune_horizons

Champion = NextPurchaseModel | ArtifactRefused | None  # refused: it does not fit the features of today


def next_purchase_round(
    source: WorkspaceSource, registry: Registry, seed: int, *, tuning: Budget | None = None, n_folds: int = 0
) -> Round:
    """Learns, judges and settles P(an order within each horizon).

    Args:
        source: of a workspace.
        registry: that keeps the run.
        seed: of everything random.
        tuning: its trees are tuned within this budget first.
        n_folds: how many earlier windows it is held against too, for its record.
    """
    artifacts = source.workspace.artifacts
    champion = _champion(source)
    _make_snapshots(source)
    tuned = _tuned(source, tuning, seed=seed)
    recipes = {horizon: one.recipe for horizon, one in tuned.items()}
    learned = train_next_purchase(source, horizons_days=source.brand.horizons_days, seed=seed, tuned=recipes)
    open_for_another(registry, learned.description, champion)
    served = champion.horizons_days if isinstance(champion, NextPurchaseModel) else ()
    own = {one.horizon_days: own_checks(one, source) for one in learned.judged}
    trained = with_beyond(without_hopeless(learned, own, served=served), source, seed=seed)
    days = [(source.known_until - one.as_of).days for one in trained.judged]
    beside = of_everybody(source, NextPurchaseModel, trained.description, trained.boosters, days=days)
    version = write_artifact(artifacts, trained.description, trained.boosters, beside=beside)
    gate = _gate(trained, own, source, champion, version)
    leanings = _leanings(trained, source)
    sections = sections_of(trained, source, leanings, schema=source.schema)
    card = card_of(trained.description, version, schema=source.schema, gate=gate, sections=sections)
    judged = {f"{head['horizon_days']}d": head["judged"] for head in trained.description["heads"]}
    folds = backtest(
        source, horizons_days=[one.horizon_days for one in trained.judged], n_folds=n_folds, seed=seed, tuned=recipes
    )
    figures = judged | {f"{h}d": judged.get(f"{h}d", {}) | one.metrics() for h, one in tuned.items()}

    def record() -> str:
        return registry.record(
            NEXT_PURCHASE,
            version,
            parameters=_parameters(trained) | asked_for(source) | {"seed": seed},
            metrics={f"{name}_{horizon}": v for horizon, of in figures.items() for name, v in of.items()}
            | metrics(folds),
            figures=plots_of_next_purchase(trained.heads, trained.judged) | plots_of_leanings(leanings),
            tags=tags_of(trained.description),
        )

    promoted, unchanged = settle(source, registry, gate, name=NEXT_PURCHASE, version=version, record=record, card=card)
    return Round(
        NEXT_PURCHASE,
        version,
        promoted,
        unchanged,
        None if unchanged else gate,
        judged,
        tuple(trained.refused.values()),
        notes=(*lines_of(trained.description), *lines_of_beyond(trained), *lines(folds)),
        details=({"folds": as_dicts(folds)} if folds else {}) | details_of_beyond(trained),
    )


def _tuned(source: WorkspaceSource, budget: Budget | None, *, seed: int) -> dict[int, Tuned]:
    if budget is None:
        return {}
    horizons = source.brand.horizons_days
    return tune_horizons(source, horizons_days=horizons, budget=budget, studies=source.workspace.state, seed=seed)


def _make_snapshots(source: WorkspaceSource) -> None:
    """All that learning and the gate will look at, in one pass over the lake."""
    horizons, old = source.brand.horizons_days, timedelta(days=source.brand.freshness.features_days)
    judged_at = {gate_cutoff(source.known_until, horizon_days=horizon) for horizon in horizons}
    wanted = {*cutoffs_of(source, horizons_days=horizons)}
    wanted |= {as_of - old for as_of in judged_at & wanted if as_of - old > source.first}
    wanted |= cutoffs_of_curve(source, horizons_days=horizons)
    wanted |= {as_of for as_of in cutoffs_of_expected(source, horizons_days=horizons) if as_of > source.first}
    source.prepare(sorted(wanted))


def own_checks(one: Judged, source: WorkspaceSource) -> tuple[Check, ...]:
    """What a horizon must hold by itself, whoever is champion."""
    return (against_constant(one), _calibrated(one), *_of_old_inputs(one, source))


def against_constant(one: Judged) -> Check:
    """Better than the rate that was known when the fit was made, said of everybody."""
    losses, known = log_losses(one.y, one.probability), _losses_of_constant(one)
    return better_beyond_noise(
        f"{one.horizon_days} days: better than saying {one.constant:.1%} of everybody",
        paired_difference(known - losses),
        loss=float(losses.mean()),
        other=float(known.mean()),
    )


def _calibrated(one: Judged) -> Check:
    return calibrated(f"{one.horizon_days} days: calibrated", one.y, one.probability)


def _of_old_inputs(one: Judged, source: WorkspaceSource) -> tuple[Check, ...]:
    """Decisions use inputs up to `freshness.features_days` old: so old, they must still be worth more than the rate."""
    if one.head is None:
        return ()
    days = source.brand.freshness.features_days
    if one.as_of - timedelta(days=days) <= source.first:
        return ()
    old, now = as_old_as(source, one.as_of, days=days)
    if not len(now):
        return ()
    y = one.y[now]
    return (
        better_by_margin(
            f"{one.horizon_days} days: better than that rate with inputs {days:g} days old, as old as freshness allows",
            loss=float(log_losses(y, one.head.predict(old.X)).mean()),
            other=float(_losses_of_constant(one)[now].mean()),
            margin=0.0,
        ),
    )


def _losses_of_constant(one: Judged) -> FloatArray:
    return log_losses(one.y, np.full(len(one.y), one.constant))


def without_hopeless(learned: Trained, own: dict[int, tuple[Check, ...]], *, served: Collection[int]) -> Trained:
    """Leaves out horizons that do not hold by themselves, so that they do not keep back the others.

    Args:
        learned: every horizon that could be learned.
        own: the checks of each horizon.
        served: the champion's horizons; they stay, and the gate fails: a challenger takes no horizon away. Where none
            would be left, all stay, for the gate to say so.
    """
    hopeless = {
        one.horizon_days: _left_out(one, own[one.horizon_days])
        for one in learned.judged
        if one.horizon_days not in served and not all(check.passed for check in own[one.horizon_days])
    }
    if not hopeless or len(hopeless) == len(learned.heads):
        return learned
    refused = dict(sorted((learned.refused | hopeless).items()))
    heads = [head for head in learned.description["heads"] if head["horizon_days"] not in hopeless]
    return Trained(
        learned.description
        | {"heads": number_boosters(heads), "refused": {str(horizon): why for horizon, why in refused.items()}},
        [head for head in learned.heads if head.horizon_days not in hopeless],
        [one for one in learned.judged if one.horizon_days not in hopeless],
        refused,
    )


def _left_out(one: Judged, checks: tuple[Check, ...]) -> str:
    failed = "; ".join(f"{c.question.partition(': ')[2]} ({c.answer})" for c in checks if not c.passed)
    return (
        f"A {one.horizon_days}-day model was learned, but judged as of {one.as_of:%Y-%m-%d} it is not {failed}. "
        "It is left out: try again with more customers."
    )


def _leanings(trained: Trained, source: WorkspaceSource) -> dict[int, list[Leaning]]:
    """Of each head that has trees, asked about the customers of the window that judged."""
    judged_at = {one.horizon_days: one.as_of for one in trained.judged}
    return {
        head.horizon_days: leanings_of(
            head.booster, source.snapshot(judged_at[head.horizon_days]).X, inputs=head.inputs
        )
        for head in trained.heads
        if head.booster is not None
    }


def _champion(source: WorkspaceSource) -> Champion:
    try:
        champion = load_champion(source.workspace.artifacts, NEXT_PURCHASE, source.schema)
    except ArtifactRefused as refused:
        return refused
    return champion if isinstance(champion, NextPurchaseModel) else None


def _gate(
    trained: Trained, own: dict[int, tuple[Check, ...]], source: WorkspaceSource, champion: Champion, version: str
) -> Gate:
    checks = [check for one in trained.judged for check in own[one.horizon_days]]
    if champion is not None:
        checks.append(_against_champion(trained, source, champion))
        checks += expected_checks(trained, source, champion)
    checks += [_in_groups(one, source, champion) for one in trained.judged]
    model = NextPurchaseModel(*verify(source.workspace.artifacts, NEXT_PURCHASE, version), schema=source.schema)
    checks.append(fast_enough("fast enough to serve", model.predict, source.snapshot(source.known_until).X))
    return Gate(tuple(checks), read_champions(source.workspace.artifacts).get(NEXT_PURCHASE, {}).get("version"))


def _said_by_champion(one: Judged, source: WorkspaceSource, champion: Champion) -> FloatArray | None:
    """On a window that the champion did not know; None where it did, or has no such horizon."""
    if not isinstance(champion, NextPurchaseModel) or one.horizon_days not in champion.horizons_days:
        return None
    if one.as_of < datetime.fromisoformat(champion.description["as_of"]):
        return None
    return champion.predict(source.snapshot(one.as_of).X)[:, champion.horizons_days.index(one.horizon_days)]


def _against_champion(
    trained: Trained, source: WorkspaceSource, champion: NextPurchaseModel | ArtifactRefused
) -> Check:
    """On every horizon's newest window that the champion did not know either, together."""
    question = "better than the champion"
    if isinstance(champion, ArtifactRefused):
        return Check(question, True, "the champion does not fit the features of today, so it cannot be served")
    windows, ours, theirs = [], [], []
    for one in trained.judged:
        said = _said_by_champion(one, source, champion)
        if said is None:
            continue
        losses, of_champion = log_losses(one.y, one.probability), log_losses(one.y, said)
        windows.append((source.snapshot(one.as_of).customer_keys, of_champion - losses))
        ours.append(float(losses.mean()))
        theirs.append(float(of_champion.mean()))
    if not windows:
        made_at = datetime.fromisoformat(champion.description["as_of"])
        free_on = made_at + timedelta(days=min(whole_weeks(one.horizon_days) for one in trained.judged))
        return not_yet(question, free_on=free_on)
    return better_beyond_noise(
        question, mean_over_windows(windows), loss=float(np.mean(ours)), other=float(np.mean(theirs))
    )


def _in_groups(one: Judged, source: WorkspaceSource, champion: Champion) -> Check:
    """In every large segment, stage, locale and channel, against the champion, or the known rate where it knew this."""
    said = _said_by_champion(one, source, champion)
    other, whose = (
        (_losses_of_constant(one), "the known rate") if said is None else (log_losses(one.y, said), "the champion")
    )
    gain = other - log_losses(one.y, one.probability)
    found: list[tuple[str, Difference, float]] = [
        (str(group), paired_difference(gain[group.rows], draws=FEW_DRAWS), float(other[group.rows].mean()))
        for group in large(groups_of(source, one.as_of))
    ]
    return harmless(f"{one.horizon_days} days: in no large group worse than {whose}", found)


def _parameters(trained: Trained) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for head in trained.description["heads"]:
        for name in ("recipe", "windows"):
            parameters |= {f"{name}_{key}_{head['horizon_days']}d": value for key, value in head[name].items()}
    return parameters
