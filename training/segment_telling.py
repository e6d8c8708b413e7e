"""What a training of segments tells: how many, how steady, who stayed, and whether they matter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from training.artifact import SegmentsModel
from training.segment_discovery import UNUSUAL
from training.segment_matter import Difference
from training.segment_windows import differences_of, midnight_by
from training.segments import TrainedSegments
from training.split import whole_weeks

if TYPE_CHECKING:
    from training.dataset import WorkspaceSource

SEGMENT = "segment"


def whether_they_matter(source: WorkspaceSource, model: SegmentsModel) -> tuple[list[Difference], str | None]:
    """Whether the segments tell orders and spend of the newest closed window, by what the one before it taught.

    The groups themselves were found a week ago, on what customers had done by then, so inside that window: `rapport
    evaluate segments` finds them before it.
    """
    *_, at = cutoffs_of_matter(source)
    return differences_of(source, model, at=at, horizon_days=_days_of_matter(source))


def cutoffs_of_matter(source: WorkspaceSource) -> tuple[datetime, datetime]:
    """Where the window that teaches and the one that judges begin, as whether they matter is told."""
    days = timedelta(days=_days_of_matter(source))
    at = midnight_by(source.known_until - days, time_zone=source.brand.time_zone)
    return at - days, at


def _days_of_matter(source: WorkspaceSource) -> int:
    horizons = sorted(source.brand.horizons_days)
    return whole_weeks(horizons[len(horizons) // 2])


def details(trained: TrainedSegments, differences: Sequence[Difference], why_not: str | None) -> dict[str, Any]:
    """For `--json`."""
    discovery = trained.description["discovery"]
    return {
        "discovery": discovery,
        "segments": [{part: one[part] for part in ("id", "names", "share")} for one in trained.description["segments"]],
        "continuity": trained.continuity.as_dict() if trained.continuity is not None else None,
        "matters": [one.as_dict() for one in differences],
        "matters_not_known": why_not,
    }


def lines(
    trained: TrainedSegments, differences: Sequence[Difference], why_not: str | None, *, locale: str
) -> list[str]:
    """For people, in the names of one locale."""
    discovery = trained.description["discovery"]
    k, stability, silhouette = (discovery[part] for part in ("k", "stability", "silhouette"))
    said = [f"{k} segments: bootstrap adjusted Rand index {stability:.3f}, silhouette {silhouette:.3f}"]
    recurrence = dict(zip(_grouped(trained), discovery["recurrence"], strict=True))
    for one in trained.description["segments"]:
        again = f", {recurrence[one['id']]:.0%} comes again" if one["id"] in recurrence else ""
        said.append(f"{one['id']} {one['share']:.1%} {one['names'].get(locale, '')}{again}")
    if trained.continuity is not None:
        stayed = trained.continuity
        said.append(
            f"{stayed.stayed:.1%} of {stayed.n:,} customers stay in the segment that version {stayed.previous} gives "
            f"them; new: {', '.join(stayed.new) or 'none'}; gone: {', '.join(stayed.gone) or 'none'}"
        )
    said += [one.in_words() for one in differences if one.by == SEGMENT]
    return [*said, *([why_not] if why_not else [])]


def _grouped(trained: TrainedSegments) -> list[str]:
    return [one["id"] for one in trained.description["segments"] if one["id"] != UNUSUAL]
