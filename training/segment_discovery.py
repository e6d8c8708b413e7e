"""Which groups customers fall into: k-means in the space of segments, aligned to the version before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray
from training.split import TooLittleData

FEWEST, MOST = 3, 8
SMALLEST_SHARE = 0.02
LARGEST_SAMPLE = 20_000
SILHOUETTE_SAMPLE = 2_000
STILL_CLEAR, STABLE = 0.8, 0.85
STILL_THE_SAME = 0.6  # of the mean distance between centres: a centre that moved less is the same segment


@dataclass(frozen=True, slots=True)
class Found:
    """Centres in the space, shape `(k, n_axes)`, and how each candidate k did."""

    centres: FloatArray
    silhouette: float
    stability: float
    candidates: tuple[dict[str, float], ...]


def discover(placed: FloatArray, *, seed: int) -> Found:
    """As many groups, of 3 to 8, as stay clear and stable, none below 2% of customers.

    Clear is a silhouette of at least four fifths of the best; stable is an adjusted Rand index of at least 0.85 between
    the groups that two halves of the customers give. Where no number is stable, the most stable one is taken.

    Args:
        placed: customers in the space, shape `(n, n_axes)`.
        seed: of the sampling and of k-means.

    Raises:
        TooLittleData: not even three groups of 2% are there.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rng = np.random.default_rng(seed)
    sample = placed[np.sort(rng.permutation(len(placed))[:LARGEST_SAMPLE])]
    found = []
    with threadpool_limits(limits=1):  # sums in one order: the same seed gives the same bytes
        for k in range(FEWEST, MOST + 1):
            candidate = _candidate(sample, k, seed=seed)
            if candidate is not None:
                found.append(candidate)
    if not found:
        raise TooLittleData(
            f"Asked for segments of {len(placed)} customers, but no grouping into {FEWEST} to {MOST} leaves every "
            f"group {SMALLEST_SHARE:.0%} of them: too few differ. Import more behaviour, or ask customers questions."
        )
    clear = [one for one in found if one.silhouette >= STILL_CLEAR * max(other.silhouette for other in found)]
    stable = [one for one in clear if one.stability >= STABLE]
    best = max(stable, key=lambda one: len(one.centres)) if stable else max(found, key=lambda one: one.stability)
    scores = tuple(
        {"k": len(f.centres), "silhouette": round(f.silhouette, 6), "stability": round(f.stability, 6)} for f in found
    )
    return Found(best.centres, best.silhouette, best.stability, scores)


def nearest(placed: FloatArray, centres: FloatArray) -> NDArray[np.intp]:
    """The index of each customer's nearest centre, shape `(n,)`."""
    distance = (placed**2).sum(axis=1, keepdims=True) - 2.0 * placed @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(distance.argmin(axis=1))


def separation(placed: FloatArray, labels: NDArray[np.intp], *, seed: int) -> float:
    """The silhouette of these labels on a sample, in [-1, 1]; -1 where there is but one label."""
    from sklearn.metrics import silhouette_score

    chosen = np.sort(np.random.default_rng(seed).permutation(len(placed))[:SILHOUETTE_SAMPLE])
    if len(np.unique(labels[chosen])) < 2:
        return -1.0
    return float(silhouette_score(placed[chosen], labels[chosen]))


def align(
    centres: FloatArray, *, previous: FloatArray | None, previous_ids: Sequence[str]
) -> tuple[list[str], list[str | None]]:
    """Ids for new centres: the nearest old segment's where it is still the same one, else a new id.

    Args:
        centres: shape `(k, n_axes)`.
        previous: the old centres in the same space, or None for a first version.
        previous_ids: theirs.

    Returns:
        The ids, and for each the id of the old segment it continues, or None.

    References:
        Kuhn (1955), The Hungarian method for the assignment problem.
    """
    continued: list[str | None] = [None] * len(centres)
    if previous is not None and len(previous):
        from scipy.optimize import linear_sum_assignment

        distance = np.linalg.norm(centres[:, None, :] - previous[None, :, :], axis=2)
        limit = STILL_THE_SAME * _mean_distance(previous)
        for new, old in zip(*linear_sum_assignment(distance), strict=True):
            if distance[new, old] <= limit:
                continued[new] = previous_ids[old]
    taken = max((int(name.removeprefix("s")) for name in previous_ids), default=0)
    ids = []
    for name in continued:
        if name is None:
            taken += 1
        ids.append(name or f"s{taken}")
    return ids, continued


def _mean_distance(centres: FloatArray) -> float:
    distance = np.linalg.norm(centres[:, None, :] - centres[None, :, :], axis=2)
    return float(distance.sum() / max(len(centres) * (len(centres) - 1), 1))


def _candidate(sample: FloatArray, k: int, *, seed: int) -> Found | None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    if len(sample) < 10 * k:
        return None
    whole = KMeans(k, n_init=4, random_state=seed).fit(sample)
    if np.bincount(whole.labels_, minlength=k).min() < SMALLEST_SHARE * len(sample):
        return None
    halves = [KMeans(k, n_init=2, random_state=seed).fit(sample[i::2]) for i in (0, 1)]
    stability = float(adjusted_rand_score(halves[0].predict(sample), halves[1].predict(sample)))
    centres = np.round(whole.cluster_centers_.astype(np.float64), 6)
    centres = centres[np.lexsort(centres.T[::-1])]  # k-means numbers its groups by luck
    return Found(centres, separation(sample, nearest(sample, centres), seed=seed), stability, ())
