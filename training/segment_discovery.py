"""Which groups customers fall into: k-means in the space of segments, as many groups as come again when drawn anew.

The customers who are like nobody are taken out first, and are called unusual rather than forced into a group: they lie
further from every centre than Tukey's outer fence. Whoever is new, or long gone, is not unusual for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray
from training.segment_space import Categories, Space
from training.split import TooLittleData

FEWEST, MOST = 2, 10
ROUGH = 6  # groups that the unusual are told from, before it is known how many there are
SMALLEST_SHARE = 0.02
STABLE = 0.75
DRAWS = 10
FIRST_DRAWS, HOPELESS = 4, 0.6  # a k whose first samples agree less than this on average is drawn no further
LARGEST_SAMPLE = 20_000
LARGEST_DRAW = 2_000  # customers in a bootstrap sample: more make no group steadier, only the wait longer
SILHOUETTE_SAMPLE = 2_000
FENCE = 3.0  # interquartile ranges beyond the third quartile: Tukey's "far out"
MOST_UNUSUAL = 0.05  # where more lie beyond the fence, tails are heavy, and nobody is unusual for being in one
FEWEST_UNUSUAL = 20  # fewer can teach nobody to recognise them

Labels = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of customers in a space, with those who belong to none.

    Attributes:
        centres: shape `(k, n_axes)`.
        fence: how far from its nearest centre, on the axes that are not of time, a customer is unusual; None where
            nobody is.
    """

    space: Space
    centres: FloatArray
    fence: float | None = None

    @property
    def n_labels(self) -> int:
        """The groups, and one more where some are unusual."""
        return len(self.centres) + (self.fence is not None)

    def labels(self, X: NDArray[np.float32], *, inputs: Sequence[str]) -> Labels:
        """Each customer's group, shape `(n,)`: the nearest centre's, or k for the unusual."""
        found = nearest(self.space.place(X, inputs=inputs), self.centres)
        if self.fence is None:
            return found
        far = distances_of(self.space, X, self.centres, found, inputs=inputs) > self.fence
        return np.where(far, len(self.centres), found)

    @classmethod
    def of_description(
        cls, description: Mapping[str, Any], *, inputs: Sequence[str], categories: Categories | None = None
    ) -> tuple[Grouping, list[str]]:
        """The grouping of a model.json and its segments' ids by label; axes that are no longer fed are left out.

        Args:
            description: the model.json.
            inputs: of today.
            categories: of today, whose order of choices may be another; None for those of the model.
        """
        space = Space.from_list(description["space"])
        space, kept = space.shared_with(inputs, then=description.get("categories"), now=categories)
        segments = [segment for segment in description["segments"] if "centre" in segment]
        centres = np.array([segment["centre"] for segment in segments])[:, kept]
        ids = [segment["id"] for segment in segments]
        fence = description["discovery"].get("fence")
        return cls(space, centres, fence), [*ids, *([UNUSUAL] if fence is not None else [])]


UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True)
class Found:
    """Groups, and how each candidate k did.

    Attributes:
        stability: the mean adjusted Rand index of bootstrap samples' groups with these.
        recurrence: how much of each group comes again in a bootstrap sample, shape `(k,)`, in [0, 1].
        n_unusual: of the customers they were found among.
    """

    grouping: Grouping
    silhouette: float
    stability: float
    recurrence: FloatArray
    n_unusual: int
    candidates: tuple[dict[str, float], ...]

    @property
    def centres(self) -> FloatArray:
        """Shape `(k, n_axes)`."""
        return self.grouping.centres

    @property
    def is_stable(self) -> bool:
        """Whether these groups come again when customers are drawn anew."""
        return self.stability >= STABLE

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        fence = self.grouping.fence
        return {
            "k": len(self.centres),
            "silhouette": round(self.silhouette, 6),
            "stability": round(self.stability, 6),
            "is_stable": self.is_stable,
            "recurrence": [round(float(share), 6) for share in self.recurrence],
            "n_unusual": self.n_unusual,
            "candidates": list(self.candidates),
        } | ({} if fence is None else {"fence": fence})


def discover(space: Space, X: NDArray[np.float32], *, inputs: Sequence[str], seed: int) -> Found:
    """As many groups as come again when customers are drawn anew, none below 2% of customers.

    That is the largest k of 2 to 10 whose groups a bootstrap sample's agree with by an adjusted Rand index of 0.75 in
    the mean. Where no number is that stable, the most stable one is taken, and `is_stable` says that it is not enough.

    Args:
        space: learned from these customers.
        X: what is known of them, shape `(n, n_inputs)`.
        inputs: the names of the columns.
        seed: of the sampling and of k-means.

    Raises:
        TooLittleData: no grouping leaves every group 2% of customers.

    References:
        Hennig (2007), Cluster-wise assessment of cluster stability; Hubert & Arabie (1985), Comparing partitions;
        Tukey (1977), Exploratory data analysis, on fences.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    sample = X[np.sort(np.random.default_rng(seed).permutation(len(X))[:LARGEST_SAMPLE])]
    placed = space.place(sample, inputs=inputs)
    with threadpool_limits(limits=1):  # sums in one order: the same seed gives the same bytes
        usual = _usual(space, sample, placed, inputs=inputs, seed=seed)
        found = [
            one for k in range(FEWEST, MOST + 1) if (one := _candidate(placed[usual], k, seed=seed, n=len(placed)))
        ]
        if not found:
            raise TooLittleData(
                f"Asked for segments of {len(X)} customers, but no grouping into {FEWEST} to {MOST} leaves every "
                f"group {SMALLEST_SHARE:.0%} of them: too few differ. Import more, or ask customers questions."
            )
        stable = [one for one in found if one.stability >= STABLE]
        best = max(stable, key=lambda one: len(one.centres)) if stable else max(found, key=lambda one: one.stability)
        fence = _fence(space, X, best.centres, inputs=inputs)
        grouping = Grouping(space, best.centres, fence)
        n_unusual = int((grouping.labels(X, inputs=inputs) == len(best.centres)).sum())
    scores = tuple(one.as_dict() for one in found)
    return Found(grouping, best.silhouette, best.stability, best.recurrence, n_unusual, scores)


def nearest(placed: FloatArray, centres: FloatArray) -> Labels:
    """The index of each customer's nearest centre, shape `(n,)`."""
    distance = (placed**2).sum(axis=1, keepdims=True) - 2.0 * placed @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(distance.argmin(axis=1))


def distances_of(
    space: Space, X: NDArray[np.float32], centres: FloatArray, labels: Labels, *, inputs: Sequence[str]
) -> FloatArray:
    """How far each customer is from a centre where nothing is clipped, on the axes that are not of time; `(n,)`."""
    away = (space.place(X, inputs=inputs, furthest=np.inf) - centres[labels])[:, ~space.is_of_time]
    return np.asarray(np.sqrt((away**2).sum(axis=1)))


def separation(placed: FloatArray, labels: Labels, *, seed: int) -> float:
    """The silhouette of these labels on a sample, in [-1, 1]; -1 where there is but one label."""
    from sklearn.metrics import silhouette_score

    chosen = np.sort(np.random.default_rng(seed).permutation(len(placed))[:SILHOUETTE_SAMPLE])
    if len(np.unique(labels[chosen])) < 2:
        return -1.0
    return float(silhouette_score(placed[chosen], labels[chosen]))


@dataclass(frozen=True, slots=True)
class _Candidate:
    centres: FloatArray
    silhouette: float
    stability: float
    lowest: float
    smallest: float
    recurrence: FloatArray

    def as_dict(self) -> dict[str, float]:
        return {
            "k": len(self.centres),
            "stability": round(self.stability, 6),
            "stability_lowest": round(self.lowest, 6),
            "silhouette": round(self.silhouette, 6),
            "smallest_share": round(self.smallest, 6),
        }


def _usual(
    space: Space, X: NDArray[np.float32], placed: FloatArray, *, inputs: Sequence[str], seed: int
) -> NDArray[np.bool_]:
    """Who is within the fence of a rough grouping, shape `(n,)`."""
    if len(placed) < 10 * ROUGH:
        return np.ones(len(placed), dtype=bool)
    rough = _rounded(_k_means(placed, ROUGH, seed=seed, n_init=4).cluster_centers_)
    fence = _fence(space, X, rough, inputs=inputs)
    if fence is None:
        return np.ones(len(placed), dtype=bool)
    return distances_of(space, X, rough, nearest(placed, rough), inputs=inputs) <= fence


def _fence(space: Space, X: NDArray[np.float32], centres: FloatArray, *, inputs: Sequence[str]) -> float | None:
    """Beyond which distance a customer is unusual; None where hardly anybody is, or too many."""
    if space.is_of_time.all():
        return None
    labels = nearest(space.place(X, inputs=inputs), centres)
    distance = distances_of(space, X, centres, labels, inputs=inputs)
    low, high = np.quantile(distance, [0.25, 0.75])
    fence = round(float(high + FENCE * (high - low)), 6)
    beyond = int((distance > fence).sum())
    return fence if FEWEST_UNUSUAL <= beyond <= MOST_UNUSUAL * len(distance) else None


def _candidate(placed: FloatArray, k: int, *, seed: int, n: int) -> _Candidate | None:
    if len(placed) < 10 * k:
        return None
    whole = _k_means(placed, k, seed=seed, n_init=4)
    smallest = float(np.bincount(whole.labels_, minlength=k).min() / n)
    if smallest < SMALLEST_SHARE:
        return None
    centres = _rounded(whole.cluster_centers_)
    agreement, recurrence = _agreement(placed, nearest(placed, centres), k, seed=seed)
    return _Candidate(
        centres,
        separation(placed, nearest(placed, centres), seed=seed),
        float(agreement.mean()),
        float(agreement.min()),
        smallest,
        recurrence,
    )


def _agreement(placed: FloatArray, labels: Labels, k: int, *, seed: int) -> tuple[FloatArray, FloatArray]:
    """How much the groups of bootstrap samples agree with these on all customers, and how much of each comes again.

    Returns:
        The adjusted Rand index of each sample, shape `(n_draws,)`, and the mean over the samples of the largest share
        in common (Jaccard) with one of their groups, shape `(k,)`.
    """
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng([seed, k])
    indices: list[float] = []
    shared = []
    for draw in range(DRAWS):
        drawn = rng.integers(0, len(placed), min(len(placed), LARGEST_DRAW))
        again = nearest(placed, _k_means(placed[drawn], k, seed=seed + draw, n_init=3).cluster_centers_)
        indices.append(float(adjusted_rand_score(labels, again)))
        shared.append(jaccard(labels, again, shape=(k, k)).max(axis=1))
        if len(indices) == FIRST_DRAWS and np.mean(indices) < HOPELESS:
            break
    return np.array(indices), np.mean(shared, axis=0)


def jaccard(ours: Labels, theirs: Labels, *, shape: tuple[int, int]) -> FloatArray:
    """Of the customers in either group, the share in both, for each pair; shape as given, labels beyond it left out."""
    n_ours, n_theirs = shape
    both = np.zeros((max(n_ours, int(ours.max(initial=0)) + 1), max(n_theirs, int(theirs.max(initial=0)) + 1)))
    np.add.at(both, (ours, theirs), 1.0)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return np.asarray((both / np.maximum(either, 1.0))[:n_ours, :n_theirs])


def _k_means(placed: FloatArray, k: int, *, seed: int, n_init: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=n_init, random_state=seed).fit(placed)


def _rounded(centres: FloatArray) -> FloatArray:
    rounded = np.round(centres.astype(np.float64), 6)
    return np.asarray(rounded[np.lexsort(rounded.T[::-1])])  # k-means numbers its groups by luck
