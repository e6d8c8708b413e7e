"""The report's part on a running experiment: the numbers of `rapport experiment analyse arms`, and none without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from experiments.arms import analyse_arms_of
from experiments.metrics import Estimate
from experiments.report import report_html
from experiments.report.words import Words
from features.brand import load_brand
from tests.experiments.conftest import ReportWorld

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30)
ARMS = "{calm: {share: 0.5, policy: {name: greedy}}, brave: {share: 0.5, policy: {name: squarecb}}}"


def every_other(key: int) -> str:
    return "brave" if key % 2 else "calm"


def an_experiment(
    world: ReportWorld, *, customers: int = 400, arm_of: Callable[[int], str] = every_other, arms: str = ARMS
) -> ReportWorld:
    """Of 160 calm customers 20 order and of 160 brave ones 40; 80 are held out."""
    file = world.workspace.brand_file
    file.write_text(file.read_text("utf-8") + f"\nexperiment: {{name: bold, arms: {arms}}}\n", "utf-8")
    world.decide(
        range(1, customers + 1),
        at=NOON,
        experiment="bold",
        arm_of=arm_of,
        orders=lambda key: 1000.0 if key % 10 == 1 or key % 20 == 2 else None,
    )
    return world


def section(html: str) -> str:
    """The section's text; empty where the page has none."""
    found = re.search(r'<section id="arms".*?</section>', html, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", ["The experiment “bold”", "Customers in it so far: 320", "calm 50%", "the better, the more often"]),
        ("hi", ["प्रयोग “bold”", "अब तक ग्राहक: 320", "calm 50%", "जितना अच्छा"]),
        ("th", ["การทดลอง “bold”", "ขณะนี้: 320", "calm 50%", "ยิ่งดียิ่งเลือกบ่อย"]),
    ],
)
def test_the_report_says_what_the_verb_says_in_every_language(
    report_world: ReportWorld, locale: str, said: list[str]
) -> None:
    workspace = an_experiment(report_world).workspace
    html = report_html(workspace, locale=locale, as_of=LATER)
    text, words = section(html), Words(locale, load_brand(workspace))
    assert [one for one in said if one not in text] == []
    _, brave = analyse_arms_of(workspace, as_of=LATER).arms
    assert brave.conversion is not None
    assert brave.margin is not None
    points, margin = brave.conversion.absolute, brave.margin.absolute
    assert isinstance(points, Estimate)
    assert isinstance(margin, Estimate)
    assert points.value == pytest.approx(40 / 160 - 20 / 160)
    for say, estimate in ((words.points, points), (words.signed_money, margin)):
        interval = words("interval", low=say(estimate.low), high=say(estimate.high))
        assert f"{say(estimate.value)} {interval}" in text
    assert '<a href="#arms">' in html


def test_without_an_experiment_there_is_neither_a_section_nor_a_link_to_it(report_world: ReportWorld) -> None:
    report_world.decide(range(1, 51), at=NOON)
    html = report_html(report_world.workspace, as_of=LATER)
    assert "#arms" not in html
    assert section(html) == ""


@pytest.mark.parametrize("locale", ["en", "hi", "th"])
def test_too_few_customers_of_an_arm_are_a_reason_that_names_it(report_world: ReportWorld, locale: str) -> None:
    text = section(report_html(an_experiment(report_world, customers=60).workspace, locale=locale, as_of=LATER))
    assert "“brave”" in text
    assert " 24" in text  # of 30, every fifth is held out
    assert Words(locale, load_brand(report_world.workspace))("not_yet") in text


def test_an_experiment_that_has_just_begun_says_that_and_when_to_come_back(report_world: ReportWorld) -> None:
    world = an_experiment(report_world, customers=0)
    assert "Customers in it so far: 0." in section(report_html(world.workspace, as_of=LATER))
    world.decide(range(1, 101), at=NOON, experiment="bold", arm_of=every_other)
    text = section(report_html(world.workspace, as_of=NOON + timedelta(days=3)))
    assert "the next end on 8 Mar 2026, 17:30" in text  # 12:00 UTC in Asia/Kolkata


def test_arms_of_other_sizes_than_their_shares_show_no_difference(report_world: ReportWorld) -> None:
    world = an_experiment(report_world, arm_of=lambda key: "brave" if key % 4 == 1 else "calm")
    text = section(report_html(world.workspace, as_of=LATER))
    assert "the groups are not as large as their shares make them (p = " in text
    assert "95% interval" not in text


def test_an_arms_name_and_the_experiments_are_text_and_no_key_of_ours(report_world: ReportWorld) -> None:
    arms = "{greedy_one: {share: 0.5, policy: {name: greedy}}, arms: {share: 0.5, policy: {name: uniform}}}"
    named = an_experiment(report_world, customers=40, arms=arms, arm_of=lambda key: "arms" if key % 2 else "greedy_one")
    text = section(report_html(named.workspace, as_of=LATER))
    assert "greedy_one 50% always the best one" in text
    assert "arms 50% all alike" in text
