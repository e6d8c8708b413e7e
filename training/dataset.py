"""Rows to learn from: what was known of every customer as of a cutoff, with what happened next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from features.occasions import OccasionDays, occasion_days
from features.passed import require_passed
from training.labels import Window, label, label_window, read_orders, require_closed
from training.repeats import Repeats

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.brand import Brand
    from features.drawn import Draw
    from features.workspace import Workspace
    from training.members import Repeat

FloatMatrix = NDArray[np.float32]

CELLS_WORTH_A_SECOND_THREAD = 10_000_000
MOST_BYTES = 3 * 2**30  # of snapshots in memory: twenty of a million customers would be more than a machine has


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known of each customer as of one instant; one row a customer.

    Attributes:
        customer_keys: shape `(n,)`, rising.
        X: shape `(n, n_inputs)`, float32 as serving will see it, NaN where unknown.
    """

    as_of: datetime
    customer_keys: NDArray[np.int64]
    X: FloatMatrix


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows of one or several cutoffs, stacked in their order.

    Attributes:
        customer_keys: shape `(n,)`.
        X: shape `(n, n_inputs)`.
        y: shape `(n,)`, 1 where it happened within the horizon.
        cutoff: shape `(n,)`, which of `as_ofs` a row belongs to.
    """

    as_ofs: tuple[datetime, ...]
    customer_keys: NDArray[np.int64]
    X: FloatMatrix
    y: NDArray[np.uint8]
    cutoff: NDArray[np.int32]


class Source(Protocol):
    """Where snapshots and labels come from: a workspace, or a tiny world in a test."""

    inputs: tuple[str, ...]
    categories: Mapping[str, Sequence[str]]
    schema_version: str
    first: datetime
    known_until: datetime

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        """Makes the snapshots that will be asked for, all at once."""

    def snapshot(self, as_of: datetime) -> Snapshot:
        """What was known as of that instant."""

    def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        """Keys of customers who ordered inside `[as_of, as_of + horizon)`."""

    def n_orders(self, window: Window) -> int:
        """How many orders there were in a closed window."""

    def fingerprint(self) -> str:
        """Identifies the data."""


class WorkspaceSource:
    """Snapshots by `features.history`, orders from the lake; what is read is kept, as far as memory goes.

    Args:
        workspace: of the brand.
        as_of: nothing later is known; None for the midnight after the last event, or that at the start of today where
            the last event is of today: what today brings is not known before it ends.
        eligible: which rows of a snapshot take part, from its frame; None for every customer.
        now: what the time is; None to look at the clock.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        as_of: datetime | None = None,
        eligible: Callable[[pd.DataFrame], NDArray[np.bool_]] | None = None,
        now: datetime | None = None,
    ) -> None:
        from features.brand import load_brand
        from features.history import open_workspace
        from features.lake import Lake
        from features.schema import feature_schema

        self.workspace = workspace
        self.brand: Brand = load_brand(workspace)
        self.schema = feature_schema(self.brand, workspace)
        self.inputs = tuple(self.schema.model_inputs)
        self.categories: Mapping[str, Sequence[str]] = {
            name: tuple(values) for name, values in self.schema.categories.items()
        }
        self.schema_version = self.schema.version
        self._lake = Lake(workspace.lake)
        self._history = open_workspace(workspace.root)
        self._eligible = eligible
        self._snapshots: dict[datetime, Snapshot] = {}
        self.repeat_fits: dict[tuple[datetime, str], Repeat | None] = {}  # by instant and kind, as they are asked for
        first, self.known_until = _span(self._history.span(), as_of, now=now or datetime.now(UTC))
        self.draw: Draw | None = None
        self._orders = read_orders(workspace, event=self.brand.events.order, known_until=self.known_until)
        self.first = self._orders.first_at or first  # what was told before any order shows nothing of buying

    def at_most(self, n_customers: int) -> WorkspaceSource:
        """Itself where so many are known, else one of about so many, drawn before anything of them is made or read."""
        from features.drawn import draw_of

        draw = draw_of(self.workspace, as_of=self.known_until, most=n_customers)
        if draw is None:
            return self
        fewer = copy(self)
        fewer.draw, fewer._snapshots, fewer.repeat_fits = draw, {}, {}
        return fewer

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        """Makes the snapshots that will be asked for, in one pass over the lake; each is read when it is."""
        from features.snapshots import build_snapshots

        missing = [as_of for as_of in as_ofs if as_of not in self._snapshots]
        build_snapshots(self.workspace, missing, brand=self.brand, draw=self.draw)

    def frame(self, as_of: datetime) -> pd.DataFrame:
        """The whole snapshot, one row a customer, by customer_key: inputs, stage, what was declared."""
        frame = self._history.snapshot_frame(as_of, draw=self.draw)
        if self._eligible is not None:
            frame = frame[self._eligible(frame)]
        return frame.sort_values("customer_key", ignore_index=True)

    def frames(self, as_of: datetime, *, n_customers: int) -> Iterator[pd.DataFrame]:
        """Everybody's snapshot at most so many customers at a time: who is eligible or drawn is not asked."""
        return self._history.frames_in_parts(as_of, n_customers=n_customers)

    def table(self, as_of: datetime, *, columns: Sequence[str] | None = None) -> pa.Table:
        """What is stored of the same customers, or some columns of it, by customer_key."""
        return self._history.snapshot_table(as_of, draw=self.draw, columns=columns)

    def snapshot(self, as_of: datetime) -> Snapshot:
        """What was known as of that instant; of those asked for last, as many are kept as fit `MOST_BYTES`."""
        kept = self._snapshots.pop(as_of, None) or self._read(as_of)
        self._snapshots[as_of] = kept  # now the newest
        while len(self._snapshots) > 1 and sum(one.X.nbytes for one in self._snapshots.values()) > MOST_BYTES:
            del self._snapshots[next(iter(self._snapshots))]
        return kept

    def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        """Keys of customers who ordered inside `[as_of, as_of + horizon)`; the window must be closed."""
        window = label_window(as_of, horizon_days)
        require_closed(window, known_until=self.known_until)
        return self._orders.customers_within(window)

    def n_orders(self, window: Window) -> int:
        """How many orders there were in a closed window."""
        require_closed(window, known_until=self.known_until)
        return self._orders.n_within(window)

    @property
    def n_customers(self) -> int:
        """How many are known in all, drawn or not."""
        return len(self.snapshot(self.known_until).customer_keys) if self.draw is None else self.draw.n_customers

    @property
    def orders_at_us(self) -> NDArray[np.int64]:
        """When each order that is known was made, µs since the epoch, rising."""
        return self._orders.at_us

    @cached_property
    def repeats(self) -> Repeats:
        """Orders after each customer's first, and when each became known."""
        return Repeats.of(self._orders.customer_keys, self._orders.at_us)

    @property
    def occasions(self) -> tuple[OccasionDays, ...]:
        """The brand's occasions that move, from the first year that is known to the next one."""
        years = range(self.first.year - 1, self.known_until.year + 3)
        return occasion_days(self.brand.occasions, years=years)

    def fingerprint(self) -> str:
        """The lake's manifest, and how much of it is known."""
        return f"{self._lake.fingerprint()}@{self.known_until:%Y-%m-%dT%H:%M:%SZ}"

    def _read(self, as_of: datetime) -> Snapshot:
        if self._eligible is None:
            return Snapshot(as_of, *self._history.snapshot_inputs(as_of, draw=self.draw))
        frame = self.frame(as_of)
        X = np.ascontiguousarray(frame[list(self.inputs)].to_numpy(dtype=np.float32, na_value=np.nan))
        return Snapshot(as_of, frame["customer_key"].to_numpy(dtype=np.int64), X)


def training_threads(X: NDArray[np.float32] | NDArray[np.float64]) -> int:
    """How many threads LightGBM trains on: on little data a second one costs more than it brings.

    The trees are the same either way. Measured on two busy cores, 20,000 × 120: 1.6 s on one thread, 4.2 s on two.
    """
    return 1 if X.size < CELLS_WORTH_A_SECOND_THREAD else 2


def occasions_of(source: Source) -> tuple[OccasionDays, ...]:
    """The occasions that a source knows of; none where it is a world without a brand."""
    return tuple(getattr(source, "occasions", ()))


def repeats_of(source: Source) -> Repeats | None:
    """The repeat orders that a source knows of; None where it is a world that does not tell them apart."""
    return getattr(source, "repeats", None)


def rows_of(source: Source, as_ofs: Sequence[datetime], *, horizon_days: int) -> Rows:
    """Labelled rows as of each cutoff, stacked."""
    snapshots = [source.snapshot(as_of) for as_of in as_ofs]
    labels = [label(s.customer_keys, happened=source.happened(s.as_of, horizon_days)) for s in snapshots]
    return Rows(
        as_ofs=tuple(as_ofs),
        customer_keys=np.concatenate([s.customer_keys for s in snapshots]),
        X=np.vstack([s.X for s in snapshots]),
        y=np.concatenate(labels),
        cutoff=np.repeat(np.arange(len(snapshots), dtype=np.int32), [len(s.X) for s in snapshots]),
    )


def _span(
    span: tuple[datetime, datetime] | None, as_of: datetime | None, *, now: datetime
) -> tuple[datetime, datetime]:
    """The first event, and the instant up to which everything is known: never one that has not come yet."""
    if span is None:
        raise CallersMistake(
            "Asked what is known of customers, but the lake holds no events. Bring some in with 'rapport import' first."
        )
    first, last = span
    if as_of is not None:
        require_passed(as_of, now=now)
    if as_of is not None and as_of <= first:
        raise CallersMistake(
            f"Asked for an as_of of {as_of:%Y-%m-%d}, but events begin on {first:%Y-%m-%d}. "
            f"Use an as_of after that; the last event is of {last:%Y-%m-%d}."
        )
    end = _midnight_after(last)
    if as_of is not None:
        return first, min(as_of, end)
    known_until = end if end <= now else _midnight_of(now)
    if known_until <= first:
        raise CallersMistake(
            f"Asked for everything known by the start of today, {known_until:%Y-%m-%d} UTC, but events begin at "
            f"{first:%Y-%m-%d %H:%M} UTC. Come back tomorrow, or name an instant of today with --as-of."
        )
    return first, known_until


def _midnight_of(instant: datetime) -> datetime:
    return datetime.combine(instant.date(), time(), tzinfo=UTC)


def _midnight_after(instant: datetime) -> datetime:
    return _midnight_of(instant) + timedelta(days=1)
