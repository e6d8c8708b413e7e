"""Segments that the brand made stand on the page beside those that were found."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.report import report_html
from experiments.report.collect import collect

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld

DAY = date(2026, 3, 1)


def scored(world: ReportWorld) -> ReportWorld:
    """Ten customers: the first four lapsed, the first two of them careful too; likely to buy by a tenth of the key."""
    world.score_day(DAY, [(key, "s1", "awareness") for key in range(1, 11)], names={}, propensity=lambda key: key / 10)
    (path,) = (world.workspace.lake / "scores").glob("day=*/scores.parquet")
    table = pq.read_table(path)
    own = [["lapsed", "careful"] if key <= 2 else ["lapsed"] if key <= 4 else [] for key in range(1, 11)]
    pq.write_table(table.append_column("brand_segments", pa.array(own, pa.list_(pa.string()))), path)
    text = world.workspace.brand_file.read_text(encoding="utf-8")
    lapsed = "lapsed: {when: n_orders > 1.0, label: {en: Lapsed regulars}}"
    made = f"\nsegments:\n  {lapsed}\n  careful: {{when: n_orders > 2.0}}\n"
    world.workspace.brand_file.write_text(text + made, encoding="utf-8")
    return world


def test_each_is_counted_and_averaged_and_a_customer_may_be_in_several(report_world: ReportWorld) -> None:
    found = collect(scored(report_world).workspace).scored
    assert found is not None
    assert {name: numbers.n_customers for name, numbers in found.own_segments.items()} == {"lapsed": 4, "careful": 2}
    assert found.own_segments["lapsed"].purchase_propensity == (0.1 + 0.2 + 0.3 + 0.4) / 4


def test_the_page_calls_them_what_the_brand_calls_them(report_world: ReportWorld) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", report_html(scored(report_world).workspace, locale="en")).split())
    assert "Segments of your own" in text
    assert "Lapsed regulars 4 40%" in text
    assert "Careful 2 20%" in text


def test_a_page_of_scores_from_before_there_were_any_has_no_such_table(report_world: ReportWorld) -> None:
    report_world.score_day(DAY, [(1, "s1", "awareness")], names={})
    assert "Segments of your own" not in report_html(report_world.workspace, locale="en")
