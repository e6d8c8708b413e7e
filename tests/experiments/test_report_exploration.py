"""The report's part on new actions: how many exposures each has had of how many."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import partial

import pytest

from experiments.exploration import SCHEMA, NewAction, read_new_actions
from experiments.report import report_fingerprint, report_html
from features.brand import Exploration, load_brand
from features.catalogue import Catalogue, load_catalogue
from features.workspace import Workspace
from tests.experiments.conftest import ReportWorld

HALF = {"skin_quiz": 120, "bestsellers": 499, "curated_set": 500, "chat_help": 900}


def explored(world: ReportWorld, exposures: Mapping[str, int], *, needed: int = 500, share: float = 0.1) -> Workspace:
    file = world.workspace.brand_file
    text = re.sub(r"^exploration:", "_exploration:", file.read_text("utf-8"), flags=re.MULTILINE)
    file.write_text(text + f"\nexploration: {{exposures: {needed}, share: {share}}}\n", "utf-8")
    count(world.workspace, exposures)
    return world.workspace


def count(workspace: Workspace, exposures: Mapping[str, int]) -> None:
    workspace.state.mkdir(exist_ok=True)
    with closing(sqlite3.connect(workspace.database)) as connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT OR REPLACE INTO action_exposures VALUES (?, ?)", exposures.items())
        connection.commit()


def catalogue_of(workspace: Workspace) -> Catalogue:
    return load_catalogue(workspace, load_brand(workspace))


def progress(workspace: Workspace, *, locale: str = "en") -> dict[str, str]:
    """What the page says of each new action, by the name that it gives it."""
    html = report_html(workspace, locale=locale)
    panel = html[html.index('id="new-caption"') :]
    panel = panel[: panel.index("</table>")]
    rows = re.findall(r'<th scope="row">(.+?) <span class="kind">.*?<span>(.+?)</span>', panel, re.DOTALL)
    return dict(rows)


@pytest.mark.parametrize(("locale", "half"), [("en", "120 of 500"), ("hi", "500 में से 120"), ("th", "120 จาก 500")])
def test_each_new_action_says_how_many_exposures_of_how_many(report_world: ReportWorld, locale: str, half: str) -> None:
    said = progress(explored(report_world, HALF), locale=locale)
    assert said["Skin quiz"] == half
    assert "499" in said["Bestsellers"]
    assert said["Winback offer"] == half.replace("120", "0")  # nobody has seen it yet
    assert {"Curated set", "Chat help"} & set(said) == set()  # they have had theirs


def test_what_was_seen_often_enough_is_not_new_and_then_there_is_no_table(report_world: ReportWorld) -> None:
    everything = dict.fromkeys((action.id for action in catalogue_of(report_world.workspace).actions), 10)
    workspace = explored(report_world, everything, needed=10)
    assert "new-caption" not in report_html(workspace)


@pytest.mark.parametrize(("needed", "share"), [(0, 0.1), (500, 0.0)])
def test_where_nothing_is_explored_nothing_is_shown(report_world: ReportWorld, needed: int, share: float) -> None:
    assert "new-caption" not in report_html(explored(report_world, HALF, needed=needed, share=share))


def test_before_anything_was_counted_nothing_is_claimed(report_world: ReportWorld) -> None:
    workspace = report_world.workspace
    explored_for_five = partial(
        read_new_actions, workspace.database, catalogue=catalogue_of(workspace), exploration=Exploration(exposures=5)
    )
    assert explored_for_five() == ()  # no database yet
    report_world.identify([(1, "c1", "user")])
    assert explored_for_five() == ()  # one without exposures
    count(workspace, {"skin_quiz": 2})
    assert NewAction("skin_quiz", 2, 5) in explored_for_five()


def test_an_exposure_without_a_new_decision_makes_the_page_anew(report_world: ReportWorld) -> None:
    workspace = explored(report_world, HALF)
    before = report_fingerprint(workspace)
    count(workspace, {"skin_quiz": 121})
    assert report_fingerprint(workspace) != before
    assert progress(workspace)["Skin quiz"] == "121 of 500"
