"""What a run looks like: calibration, gain, importance, segment profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np
from matplotlib.figure import Figure

from training.evaluation import calibration_curve, gain_curve
from training.next_purchase import Head, Judged
from training.response.groups import Group
from training.shapley import Leaning

TOP = 20


def plots_of_next_purchase(heads: Sequence[Head], judged: Sequence[Judged]) -> dict[str, Figure]:
    """Figures by file name: what was said against what happened, whom it reaches first, what it leans on."""
    figures = {"calibration": _calibration(judged), "gain": _gain(judged)}
    for head in heads:
        if head.booster is not None:
            figures[f"importance_{head.horizon_days}d"] = importance(head.booster)
    return figures


def plots_of_segments(booster: lightgbm.Booster, segments: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """Figures by file name: the profile of each segment, and what the assigner leans on."""
    return {"profiles": _profiles(segments), "importance": importance(booster)}


def plots_of_leanings(leanings: Mapping[int, Sequence[Leaning]]) -> dict[str, Figure]:
    """A SHAP summary of each horizon by file name: a point a customer, to the right where it made the score higher."""
    return {f"shap_{horizon}d": _beeswarm(of) for horizon, of in leanings.items() if of}


def plots_of_response(groups: Sequence[Group]) -> dict[str, Figure]:
    """Figures by file name: of fifths of customers, the uplift that was expected against the one that was measured."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    expected = [group.expected for group in groups]
    measured = [group.measured.value for group in groups]
    errors = [[one.measured.value - one.measured.low for one in groups]]
    axes.errorbar(expected, measured, yerr=errors * 2, fmt="o", capsize=3)
    ends = [min([*expected, *measured, 0.0]), max([*expected, *measured, 0.0])]
    axes.plot(ends, ends, color="#999999", linewidth=1)
    axes.set(xlabel="uplift expected", ylabel="uplift measured", title="Fifths of customers, with 95% intervals")
    return {"uplift": figure}


def _beeswarm(leanings: Sequence[Leaning]) -> Figure:
    figure = Figure(figsize=(8, 1 + 0.32 * len(leanings)), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for place, one in enumerate(leanings[::-1]):
        known = np.isfinite(one.values)
        low, high = np.quantile(one.values[known], [0.05, 0.95]) if known.any() else (0.0, 1.0)
        colour = np.clip((one.values - low) / ((high - low) or 1.0), 0.0, 1.0)
        height = place + rng.uniform(-0.3, 0.3, len(one.values))
        axes.scatter(one.contributions[~known], height[~known], s=4, linewidths=0, color="#bbbbbb")
        said, at, of = one.contributions[known], height[known], colour[known]
        axes.scatter(said, at, s=4, linewidths=0, c=of, cmap="coolwarm", vmin=0, vmax=1)
    axes.axvline(0.0, color="#999999", linewidth=1)
    axes.set_yticks(range(len(leanings)), [one.name for one in leanings[::-1]])
    axes.set(xlabel="SHAP value, in log-odds", title="What moves the trees' score (red: a high value, grey: not known)")
    return figure


def importance(booster: lightgbm.Booster) -> Figure:
    """The inputs with the most gain."""
    pairs = zip(booster.feature_importance("gain"), booster.feature_name(), strict=True)
    top = sorted(pairs, reverse=True)[:TOP][::-1]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for _, name in top], [gain for gain, _ in top], color="#3b6ea5")
    axes.set(xlabel="gain", title="What the model leans on")
    return figure


def _calibration(judged: Sequence[Judged]) -> Figure:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for one in judged:
        bins = calibration_curve(one.y, one.probability)
        axes.plot([b[0] for b in bins], [b[1] for b in bins], marker="o", label=f"{one.horizon_days} days")
    axes.set(xlabel="probability said", ylabel="share that ordered", title="Calibration on the judging window")
    axes.legend()
    return figure


def _gain(judged: Sequence[Judged]) -> Figure:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for one in judged:
        points = gain_curve(one.y, one.probability)
        axes.plot([p[0] for p in points], [p[1] for p in points], label=f"{one.horizon_days} days")
    axes.set(xlabel="share of customers, best first", ylabel="share of buyers reached", title="Gain")
    axes.legend()
    return figure


def _profiles(segments: Sequence[Mapping[str, Any]]) -> Figure:
    names = sorted({name for segment in segments for name in segment["profile"]})
    ratios = [[_ratio(*segment["profile"].get(name, (0.0, 0.0))) for segment in segments] for name in names]
    figure = Figure(figsize=(2 + 1.1 * len(segments), 1 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(ratios, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(segments)), [segment["id"] for segment in segments])
    axes.set_yticks(range(len(names)), names)
    axes.set_title("Each segment's mean against all customers'")
    figure.colorbar(image, ax=axes, label="(segment − all) ÷ (segment + all)")
    return figure


def _ratio(value: float, overall: float) -> float:
    total = abs(value) + abs(overall)
    return (value - overall) / total if total else 0.0
