from __future__ import annotations

import csv
import io
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import assign
from experiments.report import audience_csv
from experiments.report.audience import guarded
from features.brand import load_brand
from features.faults import CallersMistake

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld

DAY = date(2026, 3, 29)


def a_scored_segment(world: ReportWorld) -> ReportWorld:
    customers = [(1, "s1", "loyalty"), (2, "s1", "awareness"), (3, "s2", "awareness"), (4, "s1", "conversion")]
    world.score_day(DAY, customers, names={"s1": {"en": "Quiet, but loyal"}}, propensity=lambda key: key / 10)
    return world


def rows_of(world: ReportWorld, segment: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(audience_csv(world.workspace, segment))))


def test_the_audience_has_the_shops_own_ids_likeliest_buyer_first(report_world: ReportWorld) -> None:
    a_scored_segment(report_world).identify([(1, "anna", "user"), (2, "bo", "user"), (3, "cy", "user")])
    rows = rows_of(report_world, "s1")
    assert [row["customer_id"] for row in rows] == ["bo", "anna"]  # customer 4 was erased: no outside id
    assert rows[0]["purchase_propensity_30d"] == "0.2000"
    assert rows[0]["segment_name"] == "Quiet, but loyal"


def test_the_shops_own_id_comes_before_a_devices(report_world: ReportWorld) -> None:
    a_scored_segment(report_world).identify([(1, "z-device", "anonymous"), (1, "anna", "user"), (2, "d2", "anonymous")])
    assert {row["customer_id"]: row["id_kind"] for row in rows_of(report_world, "s1")} == {
        "anna": "user",
        "d2": "anonymous",
    }


def test_the_audience_says_who_is_held_out(report_world: ReportWorld) -> None:
    brand = load_brand(report_world.workspace)
    report_world.score_day(DAY, [(key, "s1", "loyalty") for key in range(200)])
    report_world.identify((key, str(key), "user") for key in range(200))
    expected = {str(key): assign(key, salt=brand.name, holdout_rate=brand.holdout_rate).arm for key in range(200)}
    assert {row["customer_id"]: row["arm"] for row in rows_of(report_world, "s1")} == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_customer_id_cannot_become_a_formula(report_world: ReportWorld, start: str) -> None:
    a_scored_segment(report_world).identify([(1, f"{start}cmd|' /C calc'!A0", "user")])
    cell = rows_of(report_world, "s1")[0]["customer_id"]
    assert cell.startswith("'")


@given(st.text())
def test_no_guarded_cell_starts_as_a_formula(cell: str) -> None:
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_an_unknown_segment_is_refused_with_the_closest(report_world: ReportWorld) -> None:
    with pytest.raises(CallersMistake, match="Closest: 's2'"):
        audience_csv(a_scored_segment(report_world).workspace, "s22")


def test_without_scores_there_is_no_audience(report_world: ReportWorld) -> None:
    with pytest.raises(CallersMistake, match="rapport score"):
        audience_csv(report_world.workspace, "s1")


def test_without_an_identity_table_the_audience_is_empty(report_world: ReportWorld) -> None:
    assert rows_of(a_scored_segment(report_world), "s1") == []
