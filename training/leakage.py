"""Features that know what was yet to happen: found before a model learns from them, and named.

Two signs, either of which stops a training: a feature that alone ranks those to whom it happened above the others with
an AUC over 0.98, whatever its shape (bins, missing as one of them, scored by the other half of the customers); or one
that has a value (or a value other than zero) only for those to whom it happened, more often than chance explains.

Whoever has never ordered and whoever has are looked at apart as well, where there are enough of both: among a thousand
buyers and a hundred thousand addresses nearly every feature tells the two kinds of people apart, and with them most
next orders, without knowing any future.

What Rapport itself counts from events (`OWN`) is known in time by construction, and is not accused: who orders every
month, and whoever has left, are told apart by the days since their last order alone. It is looked at all the same, for
what it says already about those who have a feature only positives have. The hunt is for what others wrote: declared
traits, imported attributes, the brand's own SQL. What counts every event, or answers, counts the telling of a trait too
(`OF_ANSWERS`): that somebody told it explains nothing about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.columns import BEHAVIOUR, INSTANTS, RECENT
from features.faults import CallersMistake
from features.schema import RATIOS, age_name

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

MOST_AUC = 0.98
MOST_AUC_WITHIN = 0.97  # among those with, and those without, an order behind them: fewer of them, so some slack
FEWEST_OF_EITHER = 30  # customers to whom it happened, and to whom it did not, for an AUC to say anything
FEWEST_PRESENT = 20
MOST_EXCEPTIONS = 0.005  # of those who have the feature: to whom it did not happen all the same
CHANCE = 1e-6  # that so many who have it would all be positive by luck
MOST_ROWS = 25_000  # of either kind: an AUC of that many is known to a thousandth
BINS = 64
FEWEST_IN_A_BIN = 20
OWN = frozenset(column.name for column in (*BEHAVIOUR, *RECENT, *RATIOS)) | {age_name(one.name) for one in INSTANTS}
OF_ANSWERS = frozenset(
    column.name for column in (*BEHAVIOUR, *RECENT) if column.name.startswith(("n_events", "n_answers"))
) | {age_name(f"{which}_at") for which in ("first_event", "last_event", "last_consideration", "last_answer")}


@dataclass(frozen=True, slots=True)
class Leak:
    """One feature that cannot have been known before.

    Attributes:
        feature: its name among the model's inputs.
        sign: `separates` or `only_for_positives`.
        auc: of the feature alone.
        n_present: customers who have it (or have it other than zero).
    """

    feature: str
    sign: str
    auc: float
    n_present: int

    def __str__(self) -> str:
        if self.sign == "separates":
            return f"'{self.feature}' alone tells them apart (AUC {self.auc:.4f}; more than {MOST_AUC} is not believed)"
        return f"'{self.feature}' has a value only where it happened ({self.n_present} customers, all of them positive)"

    def as_dict(self) -> dict[str, str | float | int]:
        """For `--json`."""
        return {"feature": self.feature, "sign": self.sign, "auc": round(self.auc, 6), "n_present": self.n_present}


class LeakFound(CallersMistake):
    """Training was stopped; `leaks` names the features.

    Args:
        message: for people.
        leaks: the worst first.
    """

    def __init__(self, message: str, *, leaks: Sequence[Leak]) -> None:
        super().__init__(message)
        self.leaks = tuple(leaks)


def refuse_leaks(
    X: NDArray[np.float32],
    y: NDArray[np.uint8] | Floats,
    *,
    inputs: Sequence[str],
    categories: Collection[str] = (),
    what: str,
    trusted: Collection[str] = (),
) -> None:
    """Stops where a feature knows what was yet to happen.

    Args:
        X: shape `(n, n_inputs)`, NaN where unknown.
        y: what happened: above zero where it did; shape `(n,)`.
        inputs: the columns' names.
        categories: names of columns whose numbers have no order.
        what: is being learned, for the message: "'visit' of campaign 'spring'".
        trusted: features that were looked into, and are known in time.

    Raises:
        LeakFound: with every such feature, named.
    """
    leaks = find_leaks(X, y, inputs=inputs, categories=categories, trusted=trusted)
    if not leaks:
        return
    listed = "; ".join(str(leak) for leak in leaks[:5]) + (f"; and {len(leaks) - 5} more" if len(leaks) > 5 else "")
    raise LeakFound(
        f"Asked to learn {what}, but what is to be predicted stands in what is known: {listed}. A feature may hold "
        "only what was known before; this one was most likely written afterwards. Give it the time at which it really "
        "became known (`time` or `received_at` of its mapping), or take it out of brand.yaml or features/. Where it "
        "was known in time all the same, say so in brand.yaml: training: {trusted: [its name]}.",
        leaks=leaks,
    )


def find_leaks(
    X: NDArray[np.float32],
    y: NDArray[np.uint8] | Floats,
    *,
    inputs: Sequence[str],
    categories: Collection[str] = (),
    trusted: Collection[str] = (),
) -> list[Leak]:
    """Every feature that knows what was yet to happen, the worst first; nothing where too few rows could say.

    Args:
        X: shape `(n, n_inputs)`, NaN where unknown.
        y: what happened: above zero where it did; shape `(n,)`.
        inputs: the columns' names.
        categories: names of columns whose numbers have no order.
        trusted: features that are not looked at, beside `OWN`, which accuse nobody but may explain others.
    """
    positive = np.asarray(y, dtype=np.float64) > 0
    if not _enough(positive):
        return []
    sample, differs = _sample(positive), _differing(X)
    looked_at = [name for name, any_differ in zip(inputs, differs, strict=True) if any_differ and name not in trusted]

    def look(name: str) -> _Look:
        return _Look(X[sample, inputs.index(name)], positive[sample], is_category=name in categories)

    looks = {name: look(name) for name in looked_at if name not in OWN}
    separating = [
        Leak(name, "separates", found.auc, int(np.isfinite(X[:, inputs.index(name)]).sum()))
        for name, found in looks.items()
        if found.auc > MOST_AUC and _separates_within(X, positive, name, inputs=inputs, categories=categories)
    ]
    named = {leak.feature for leak in separating}
    own = (look(name) for name in looked_at if name in OWN - OF_ANSWERS)  # nobody asks where nobody is suspected
    only = [leak for leak in _only_for_positives(X, positive, looks, own, inputs=inputs) if leak.feature not in named]
    return sorted(separating, key=lambda leak: (-leak.auc, len(leak.feature))) + sorted(
        only, key=lambda leak: (-leak.n_present, len(leak.feature))
    )


class _Look:
    """One feature in bins: how well they rank, and the rate of the best of them.

    Args:
        x: shape `(n,)`, NaN where unknown.
        positive: shape `(n,)`; a sample of either kind.
        is_category: whether its numbers have no order.
    """

    def __init__(self, x: NDArray[np.float32], positive: Booleans, *, is_category: bool) -> None:
        self.bins = _binned(x, is_category=is_category)
        self.auc = max(_auc_of_bins(self.bins, positive), 0.5)
        if self.auc > MOST_AUC - 0.03 and not is_category:
            self.auc = max(self.auc, _auc_of_order(x, positive))

    def log_chance(self, present: Booleans, positive: Booleans, weights: Floats) -> float:
        """Log-probability that all who are present are positive, each with the rate of its bin here."""
        happened = np.bincount(self.bins, weights=weights * positive)
        everyone = np.bincount(self.bins, weights=weights)
        spare = np.bincount(self.bins) + 1.0  # of a bin that is all positive it is not believed beyond one in so many
        rates = np.minimum(happened / np.maximum(everyone, 1e-300), 1.0 - 1.0 / spare)
        return float(np.log(np.maximum(rates[self.bins[present]], 1e-300)).sum())


def _only_for_positives(
    X: NDArray[np.float32],
    positive: Booleans,
    looks: Mapping[str, _Look],
    own: Iterable[_Look],
    *,
    inputs: Sequence[str],
) -> Iterator[Leak]:
    """Features that only positives have, where no other feature says that those were bound to be positive anyway.

    Args:
        X: shape `(n, n_inputs)`.
        positive: to whom it happened, shape `(n,)`.
        looks: at what others wrote, by name.
        own: looks at what Rapport itself counts.
        inputs: the columns' names.
    """
    suspects: dict[str, Booleans] = {}
    for name in looks:
        x = X[:, inputs.index(name)]
        for present in (np.isfinite(x), np.isfinite(x) & (x != 0)):
            n = int(present.sum())
            if FEWEST_PRESENT <= n < len(x) and n - int((present & positive).sum()) <= MOST_EXCEPTIONS * n:
                suspects[name] = present
                break
    if not suspects:
        return
    sample = _sample(positive)
    sampled = positive[sample]
    weights = _undone(positive, sampled)
    others = [*(look for name, look in looks.items() if name not in suspects), *own]
    for name, present in suspects.items():
        here = present[sample]
        by_rate = float(here.sum() * np.log(positive.mean()))
        explained = max((look.log_chance(here, sampled, weights) for look in others), default=by_rate)
        if max(by_rate, explained) < np.log(CHANCE):
            yield Leak(name, "only_for_positives", looks[name].auc, int(present.sum()))


def _separates_within(
    X: NDArray[np.float32], positive: Booleans, name: str, *, inputs: Sequence[str], categories: Collection[str]
) -> bool:
    """Whether it also does among those with an order behind them, and among those without."""
    if "n_orders" not in inputs:
        return True
    has_ordered = np.nan_to_num(X[:, inputs.index("n_orders")]) > 0
    x = X[:, inputs.index(name)]
    for kind in (has_ordered, ~has_ordered):
        if not _enough(positive[kind]):
            continue
        sample = _sample(positive[kind])
        look = _Look(x[kind][sample], positive[kind][sample], is_category=name in categories)
        if look.auc < MOST_AUC_WITHIN:
            return False
    return True


def _differing(X: NDArray[np.float32]) -> Booleans:
    """Which columns tell any two customers apart, if only by being unknown; shape `(n_inputs,)`."""
    least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    return np.asarray(np.isfinite(X).any(axis=0) & ((least < most) | np.isnan(X).any(axis=0)))


def _enough(positive: Booleans) -> bool:
    n = int(positive.sum())
    return min(n, len(positive) - n) >= FEWEST_OF_EITHER


def _sample(positive: Booleans) -> NDArray[np.intp]:
    """Places of at most MOST_ROWS of either kind, in random order, the same every time; an AUC is blind to shares."""
    rng = np.random.default_rng(0)
    kinds = [rng.permutation(np.flatnonzero(positive == kind))[:MOST_ROWS] for kind in (True, False)]
    return rng.permutation(np.concatenate(kinds))


def _undone(positive: Booleans, sampled: Booleans) -> Floats:
    """Weights of sampled rows that give either kind its real share again."""
    of_positive = positive.sum() / max(int(sampled.sum()), 1)
    of_negative = (~positive).sum() / max(int((~sampled).sum()), 1)
    weights: Floats = np.where(sampled, of_positive, of_negative).astype(np.float64)
    return weights


def _binned(x: NDArray[np.float32], *, is_category: bool) -> NDArray[np.intp]:
    """The bin of each value; of a number its quantile, of a category itself; missing is a bin too, the first."""
    known = np.isfinite(x)
    values = x[known]
    bins = np.zeros(len(x), dtype=np.intp)
    if not len(values):
        return bins
    rising = np.sort(values)
    distinct = rising[np.append(True, rising[1:] != rising[:-1])]
    if is_category or len(distinct) <= BINS:
        bins[known] = np.searchsorted(distinct, values) + 1
        return bins
    n_bins = int(np.clip(len(values) // FEWEST_IN_A_BIN, 2, BINS))
    edges = np.unique(rising[np.linspace(0, len(rising) - 1, n_bins + 1)[1:-1].astype(np.intp)])
    bins[known] = np.searchsorted(edges, values, side="right") + 1
    return bins


def _auc_of_bins(bins: NDArray[np.intp], positive: Booleans) -> float:
    """AUC where each half of the rows is ranked by the rates that the other half has in its bins."""
    half = np.arange(len(bins)) % 2 == 0
    n_bins = int(bins.max()) + 1
    rate = float(positive.mean())
    counts = {kind: np.bincount(bins[half == kind], minlength=n_bins) for kind in (True, False)}
    happened = {kind: np.bincount(bins[(half == kind) & positive], minlength=n_bins) for kind in (True, False)}
    aucs = []
    for asked in (True, False):
        rates = (happened[not asked] + rate) / (counts[not asked] + 1.0)
        _, place = np.unique(rates, return_inverse=True)
        is_one = np.bincount(place, weights=happened[asked])
        is_none = np.bincount(place, weights=counts[asked] - happened[asked])
        pairs = float(is_one.sum() * is_none.sum())
        below = np.cumsum(is_none) - is_none / 2.0
        aucs.append(float((is_one * below).sum()) / pairs if pairs else 0.5)
    return float(np.mean(aucs))


def _auc_of_order(score: NDArray[np.float32], positive: Booleans) -> float:
    """P(a positive ranks above a negative), ties half; missing values rank lowest or highest, whichever is more."""
    n = int(positive.sum())

    def auc(filled: NDArray[np.float32]) -> float:
        _, place, count = np.unique(filled, return_inverse=True, return_counts=True)
        ranks = np.cumsum(count) - (count - 1) / 2.0
        return float((ranks[place[positive]].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))

    filled = [np.where(np.isfinite(score), score, end) for end in (-np.inf, np.inf)]
    found = [auc(one) for one in filled]
    return max(*found, *(1.0 - one for one in found))
