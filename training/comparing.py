"""Two versions of a model beside each other, on the newest window that neither of them knew.

Each customer is asked about twice and what happened is known, so the difference is paired: what makes one customer hard
to foretell is hard for both. A difference that resampled customers do not all but agree on is called none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from features.faults import CallersMistake
from training.artifact import NEXT_PURCHASE, NextPurchaseModel, load_model
from training.calibration import FloatArray
from training.dataset import Rows, WorkspaceSource, rows_of
from training.evaluation import Quality, log_losses, quality
from training.groups import Group, groups_of, large
from training.promotion import model_of
from training.resampling import Difference, paired_difference
from training.split import TooLittleData, gate_cutoff, whole_weeks


@dataclass(frozen=True, slots=True)
class InGroup:
    """Both versions' mean log-loss in one group; the gain is the first one's less the second one's."""

    group: Group
    losses: tuple[float, float]
    gain: Difference

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.group.kind,
            "name": self.group.name,
            "log_loss": [round(loss, 6) for loss in self.losses],
            "gain": self.gain.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class OfHorizon:
    """Both versions on one horizon's window.

    Attributes:
        qualities: of the first and the second version.
        gain: in log-loss a customer: the first one's less the second one's, so above zero the second is better.
        gain_of_brier: likewise.
    """

    horizon_days: int
    as_of: datetime
    qualities: tuple[Quality, Quality]
    gain: Difference
    gain_of_brier: Difference
    groups: tuple[InGroup, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "horizon_days": self.horizon_days,
            "as_of": self.as_of.isoformat(),
            "metrics": [one.as_dict() for one in self.qualities],
            "gain": self.gain.as_dict(),
            "gain_of_brier": self.gain_of_brier.as_dict(),
            "groups": [one.as_dict() for one in self.groups],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of one model on every horizon that both have and whose window neither knew."""

    model: str
    versions: tuple[str, str]
    horizons: tuple[OfHorizon, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "versions": list(self.versions),
            "horizons": [one.as_dict() | {"verdict": self.verdict(one)} for one in self.horizons],
        }

    def verdict(self, one: OfHorizon) -> str:
        """Which of the two is better on a horizon, in words; where resamples disagree, neither."""
        gain = one.gain
        if gain.low > 0.0 or gain.high < 0.0:
            better = self.versions[1] if gain.low > 0.0 else self.versions[0]
            return f"{better} is better by {abs(gain.mean):.4f} of log-loss a customer, beyond noise"
        return "no difference beyond noise"


def compare(source: WorkspaceSource, first: str, second: str) -> Comparison:
    """Asks both versions about the newest closed window of each horizon.

    Args:
        source: nothing later than its instant is known.
        first: a version.
        second: another of the same model.

    Raises:
        CallersMistake: one of them is not there, they are of two models, or of one that cannot be compared.
        TooLittleData: there is no window yet that neither knew; with the day on which there will be one.
        ArtifactRefused: a version is damaged or does not fit the features of today.
    """
    _require_comparable(source.workspace.artifacts, first, second)
    loaded = tuple(_load(source, version) for version in (first, second))
    made_at = max(datetime.fromisoformat(model.description["as_of"]) for model in loaded)
    common = sorted(set(loaded[0].horizons_days) & set(loaded[1].horizons_days))
    if not common:
        raise CallersMistake(
            f"Asked to compare {first} with {second}, but they have no horizon in common: "
            f"{list(loaded[0].horizons_days)} and {list(loaded[1].horizons_days)} days."
        )
    asked = [
        (horizon, as_of)
        for horizon in common
        if (as_of := gate_cutoff(source.known_until, horizon_days=horizon)) >= made_at
    ]
    if not asked:
        ready = made_at + timedelta(days=min(whole_weeks(horizon) for horizon in common))
        raise TooLittleData(
            f"Asked to compare {first} with {second}, but the later of them knew everything up to "
            f"{made_at:%Y-%m-%d}, and events end on {source.known_until:%Y-%m-%d}. A window that neither knew is "
            f"closed on {ready:%Y-%m-%d}: compare then.",
            ready=ready,
        )
    source = source.at_most(source.brand.training.customers)  # as judged by a training: more would tell no better
    source.prepare([as_of for _, as_of in asked])
    return Comparison(NEXT_PURCHASE, (first, second), tuple(_on(source, loaded, *one) for one in asked))


def _on(
    source: WorkspaceSource, loaded: tuple[NextPurchaseModel, ...], horizon_days: int, as_of: datetime
) -> OfHorizon:
    rows = rows_of(source, [as_of], horizon_days=horizon_days)
    said = [model.predict(rows.X)[:, model.horizons_days.index(horizon_days)] for model in loaded]
    losses = [log_losses(rows.y, one) for one in said]
    briers = [(one - rows.y) ** 2 for one in said]
    return OfHorizon(
        horizon_days,
        as_of,
        (quality(rows.y, said[0]), quality(rows.y, said[1])),
        paired_difference(losses[0] - losses[1]),
        paired_difference(briers[0] - briers[1]),
        _in_groups(source, rows, as_of, losses),
    )


def _in_groups(source: WorkspaceSource, rows: Rows, as_of: datetime, losses: list[FloatArray]) -> tuple[InGroup, ...]:
    if not len(rows.y):
        return ()
    gain = losses[0] - losses[1]
    return tuple(
        InGroup(
            group,
            (float(losses[0][group.rows].mean()), float(losses[1][group.rows].mean())),
            paired_difference(gain[group.rows]),
        )
        for group in large(groups_of(source, as_of))
    )


def _load(source: WorkspaceSource, version: str) -> NextPurchaseModel:
    model = load_model(source.workspace.artifacts, NEXT_PURCHASE, version, schema=source.schema)
    if not isinstance(model, NextPurchaseModel):
        raise TypeError(f"{version} is no version of {NEXT_PURCHASE}.")
    return model


def _require_comparable(artifacts: Path, first: str, second: str) -> None:
    of_first, of_second = model_of(artifacts, first), model_of(artifacts, second)
    if of_first != of_second:
        raise CallersMistake(
            f"Asked to compare {first} with {second}, but they are of {of_first} and of {of_second}. "
            "Name two versions of one model: 'rapport models list' shows them."
        )
    if first == second:
        raise CallersMistake(f"Asked to compare {first} with itself. Name two versions of 'rapport models list'.")
    if of_first != NEXT_PURCHASE:
        raise CallersMistake(
            f"Asked to compare two versions of {of_first}, but only those of {NEXT_PURCHASE} can be: both say how "
            "probable the same order is, and then it happens or not. 'rapport models list' shows what each of the "
            f"others was judged by; 'rapport train {of_first.replace('_', '-')}' judges a new one beside the champion."
        )
