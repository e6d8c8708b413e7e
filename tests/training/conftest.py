"""A tiny world whose truth a human can see: customers who order at a steady rate, and say what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.command_line import run_verb
from features.workspace import Workspace
from tests.made_once import a_copy, made_once
from training.artifact import read_champions
from training.coming import with_coming
from training.dataset import Snapshot
from training.labels import Window
from training.next_purchase import Trained, train_next_purchase

START = datetime(2023, 1, 1, tzinfo=UTC)
NEEDS = ("dryness", "acne", "dullness")


class TinyWorld:
    """Half of the customers order every week or so, half about once a season; the former say dryness, mostly."""

    inputs: tuple[str, ...] = (
        "n_orders",
        "n_orders_90d",
        "n_order_days",
        "days_since_last_order",
        "days_since_first_order",
        "tenure_days",
        "revenue",
        "trait_skin_need",
        "trait_skin_need_age_days",
    )
    categories: Mapping[str, Sequence[str]] = {"trait_skin_need": NEEDS}
    schema_version = "tiny"

    def __init__(self, *, n_customers: int = 400, days: int = 400, seed: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.first, self.known_until = START, START + timedelta(days=days)
        self.keen = np.arange(n_customers) % 2 == 0
        per_day = np.where(self.keen, 1 / 8, 1 / 90)
        self.orders = [np.sort(rng.uniform(0, days, rng.poisson(rate * days))) for rate in per_day]
        self.needs = np.where(rng.random(n_customers) < 0.8, np.where(self.keen, 0, 1), 2)
        self.said_on = rng.uniform(0, 30, n_customers)

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        pass

    def snapshot(self, as_of: datetime) -> Snapshot:
        day = (as_of - START).total_seconds() / 86_400
        rows = []
        for orders, need, said_on in zip(self.orders, self.needs, self.said_on, strict=True):
            past = orders[orders < day]
            said = said_on < day
            rows.append(
                [
                    len(past),
                    int((past >= day - 90).sum()),
                    len(np.unique(np.floor(past))),
                    day - past[-1] if len(past) else np.nan,
                    day - past[0] if len(past) else np.nan,
                    day,
                    10.0 * len(past),
                    need if said else np.nan,
                    day - said_on if said else np.nan,
                ]
            )
        keys = np.arange(1, len(rows) + 1, dtype=np.int64)
        return Snapshot(as_of, keys, np.array(rows, dtype=np.float32))

    def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        if as_of + timedelta(days=horizon_days) > self.known_until:
            raise AssertionError("a label looked past what is known")
        day = (as_of - START).total_seconds() / 86_400
        inside = [bool(((orders >= day) & (orders < day + horizon_days)).any()) for orders in self.orders]
        return np.flatnonzero(inside).astype(np.int64) + 1

    def n_orders(self, window: Window) -> int:
        start, end = ((at - START).total_seconds() / 86_400 for at in (window.start, window.end))
        return sum(int(((orders >= start) & (orders < end)).sum()) for orders in self.orders)

    def fingerprint(self) -> str:
        return "tiny-world"


@pytest.fixture(scope="session")
def tiny_world() -> Callable[..., TinyWorld]:
    return TinyWorld


@pytest.fixture(scope="session")
def a_tiny_world() -> TinyWorld:
    return TinyWorld()


@pytest.fixture(scope="session")
def with_its_curve(a_tiny_world: TinyWorld) -> Trained:
    """A version of next purchase that this world taught: 7 and 30 days, and any other."""
    return with_coming(train_next_purchase(a_tiny_world, horizons_days=(7, 30)), a_tiny_world)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 400 customers' 150 days, not trained yet. Many read it: whoever changes it copies it first."""

    def make(folder: Path) -> None:
        export, shop = folder / "export", folder / "shop"
        run_verb("init", str(shop))
        words = ("--customers", "400", "--days", "150", "--seed", "7", "--end", "2026-10-01")
        run_verb("simulate", "--out", str(export), *words)
        mapping = ("--mapping", str(export / "mapping.yaml"))
        run_verb("import", str(export / "events.parquet"), *mapping, "--workspace", str(shop))

    return a_copy(made_once("simulated", make, places=tmp_path_factory) / "shop", places=tmp_path_factory)


@pytest.fixture(scope="session")
def trained_once(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained: for `trained` to copy."""

    def make(folder: Path) -> None:
        shop = a_copy(simulated, places=tmp_path_factory).rename(folder)
        run_verb("train", "all", "--workspace", str(shop))

    return made_once("trained", make, places=tmp_path_factory)


@pytest.fixture(scope="module")
def trained(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained shop, a file's own copy."""
    return a_copy(trained_once, places=tmp_path_factory)


@pytest.fixture
def champions(trained: Path) -> Iterator[dict[str, Any]]:
    """What is served; whatever a test promotes is put back, in MLflow too."""
    from training.registry import Registry

    file = trained / "artifacts" / "champion.json"
    before, champions = file.read_bytes(), read_champions(trained / "artifacts")
    yield champions
    if file.read_bytes() == before:
        return
    file.write_bytes(before)
    with Registry(Workspace(trained)) as registry:
        for name, champion in champions.items():
            registry.crown(name, champion["version"])
