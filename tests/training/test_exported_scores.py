"""Scores on their way back to a warehouse: under the shop's own ids, each as the file of scores has it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.database import connect
from features.identity import IdentityTable
from features.workspace import Workspace
from training import scoring
from training.artifact import NextPurchaseModel
from training.next_purchase import Trained
from training.scoring import Scored, export_scores, left_empty

SCORES = {
    "customer_key": pa.array([1, 2, 3, 4], pa.int64()),
    "as_of": pa.array([1_772_323_200_000_000] * 4, pa.timestamp("us")),
    "purchase_propensity_30d": pa.array([0.25, None, 0.5, 0.1], pa.float64()),
    "next_order_on": pa.array([date(2026, 3, 9), None, None, None], pa.date32()),
    "next_products": pa.array([["soap", "oil"], None, [], ["oil"]], pa.list_(pa.string())),
}


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Workspace, Scored]:
    """Anna with two ids and a device, a device alone, Ben, and one whose ids are forgotten."""
    workspace = Workspace(tmp_path / "shop")
    workspace.state.mkdir(parents=True)
    with closing(connect(workspace.database)) as connection, connection:
        identity = IdentityTable(connection)
        for one, kind in (("anna", "user"), ("phone", "anonymous"), ("Ben", "user")):
            assert identity.key_or_new(one, kind) in (1, 2, 3)  # type: ignore[arg-type]
        connection.execute("INSERT INTO identity VALUES ('anna@home', 'user', 1, 0), ('tablet', 'anonymous', 1, 0)")
    path = workspace.lake / "scores" / "day=2026-03-01" / "scores.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(SCORES), path)
    return workspace, Scored(path, datetime(2026, 3, 1, tzinfo=UTC), 4, None, None)


def test_each_id_of_the_shops_has_its_customers_scores_and_a_device_only_where_there_is_no_other(
    scored: tuple[Workspace, Scored], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", 1)
    assert export_scores(*scored, tmp_path / "out.parquet") == 4
    exported = pq.read_table(tmp_path / "out.parquet")
    assert exported.column_names == ["customer_id", "kind", *list(SCORES)[1:]]
    assert exported["customer_id"].to_pylist() == ["Ben", "anna", "anna@home", "phone"]
    assert exported["kind"].to_pylist() == ["user", "user", "user", "anonymous"]
    for name in list(SCORES)[1:]:
        assert exported[name].type == SCORES[name].type
        assert exported[name].to_pylist() == [SCORES[name].to_pylist()[key - 1] for key in (3, 1, 1, 2)]


def test_a_text_file_has_lists_as_one_text_each(scored: tuple[Workspace, Scored], tmp_path: Path) -> None:
    assert export_scores(*scored, tmp_path / "new" / "out.csv") == 4
    exported = pyarrow.csv.read_csv(tmp_path / "new" / "out.csv")
    assert exported["next_products"].to_pylist()[1:3] == ["soap;oil"] * 2
    assert exported["purchase_propensity_30d"].to_pylist() == [0.5, 0.25, 0.25, None]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.csv"]


def test_scores_of_a_version_without_expected_orders_say_why_those_columns_are_empty(
    with_its_curve: Trained, a_tiny_world: Any
) -> None:
    schema: Any = SimpleNamespace(
        model_inputs=a_tiny_world.inputs, categories=a_tiny_world.categories, version=a_tiny_world.schema_version
    )
    described = with_its_curve.description | {"version": "20230101-abcdef12"}

    (note,) = left_empty(NextPurchaseModel(described, with_its_curve.boosters, schema=schema))

    assert note.startswith("next_purchase 20230101-abcdef12 says nothing of expected orders and spend")
    assert left_empty(None) == ()
