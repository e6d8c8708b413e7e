from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from experiments.report import report_fingerprint, report_html, write_report
from experiments.report.charts import Bar, bar_chart, shade, sparkline, trend_chart
from experiments.report.collect import collect
from experiments.report.render import content_security_policy
from experiments.report.words import Words, messages, page_language
from features.brand import load_brand
from features.faults import CallersMistake
from features.versions import read_checked

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld

BEFORE, AFTER = date(2026, 3, 1), date(2026, 3, 29)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = {
    "s1": {"en": "Quiet admirers", "hi": "चुपचाप देखने वाले", "th": "ผู้ชมเงียบ ๆ"},
    "s2": {"en": "Regulars", "hi": "नियमित ग्राहक"},
}
# Ten customers on both days: two move from s1 to s2, one moves back; one is new, one is gone.
THEN = [(key, "s1" if key <= 6 else "s2", "awareness") for key in range(1, 11)]
NOW = [(key, "s1" if key in (1, 2, 3, 4, 7) else "s2", "consideration") for key in range(2, 12)]


def two_days(world: ReportWorld) -> ReportWorld:
    world.score_day(BEFORE, THEN, names=NAMES)
    world.score_day(AFTER, NOW, names=NAMES, propensity=lambda key: key / 100)
    return world


def two_hundred_decisions(world: ReportWorld) -> ReportWorld:
    world.decide(
        range(1, 201),
        at=NOON,
        action=lambda key: "skin_quiz" if key % 2 else "nothing",
        orders=lambda key: 1000.0 if key % 4 == 0 or key % 5 == 1 else None,
        others=lambda key: ("sent", "clicked", "replied") if key % 2 else (),
        fallback=lambda key: "model_missing" if key == 1 else None,
    )
    return world


def text_of(html: str) -> str:
    body = html[html.index("<body>") :]
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_segments_are_counted_and_averaged_on_the_newest_day(report_world: ReportWorld) -> None:
    scored = collect(two_days(report_world).workspace).scored
    assert scored is not None
    assert scored.day == AFTER
    sizes = {segment.id: (segment.numbers.n_customers, segment.n_before, segment.trend) for segment in scored.segments}
    assert sizes == {"s2": (6, 4, (4, 6)), "s1": (4, 6, (6, 4))}
    s1 = next(segment for segment in scored.segments if segment.id == "s1")
    assert s1.numbers.purchase_propensity == pytest.approx((2 + 3 + 4 + 7) / 4 / 100)


def test_movement_counts_who_went_where_and_who_came_and_went(report_world: ReportWorld) -> None:
    scored = collect(two_days(report_world).workspace).scored
    assert scored is not None
    assert scored.segment_movement is not None
    assert scored.segment_movement.counts == {
        "s1": {"s1": 3, "s2": 2, None: 1},
        "s2": {"s1": 1, "s2": 3},
        None: {"s2": 1},
    }
    assert (scored.segment_movement.n_moved, scored.segment_movement.n_both) == (2 + 1, 9)
    assert scored.segment_movement.largest == ("s1", "s2", 2)


def test_the_usual_comparison_is_the_day_nearest_to_four_weeks_before(report_world: ReportWorld) -> None:
    for days in (0, 10, 25, 40):
        report_world.score_day(BEFORE + timedelta(days=days), THEN)
    scored = collect(report_world.workspace).scored
    assert scored is not None
    assert scored.segment_movement is not None
    assert scored.segment_movement.from_day == BEFORE + timedelta(days=10)


def test_two_days_can_be_chosen_and_a_day_without_scores_is_refused_with_the_nearest(report_world: ReportWorld) -> None:
    for days in (0, 7, 14):
        report_world.score_day(BEFORE + timedelta(days=days), THEN)
    scored = collect(report_world.workspace, compare_from=BEFORE, compare_to=BEFORE + timedelta(days=7)).scored
    assert scored is not None
    assert scored.segment_movement is not None
    assert (scored.segment_movement.from_day, scored.segment_movement.to_day) == (BEFORE, BEFORE + timedelta(days=7))
    with pytest.raises(CallersMistake, match="nearest that was: 2026-03-08"):
        collect(report_world.workspace, compare_from=BEFORE + timedelta(days=8))


def test_actions_are_counted_for_personalised_customers_only(report_world: ReportWorld) -> None:
    decided = collect(two_hundred_decisions(report_world).workspace).decided
    assert decided is not None
    assert (decided.n_decisions, decided.n_holdout, decided.n_fallback) == (200, 40, 1)
    quiz = next(action for action in decided.actions if action.action_id == "skin_quiz")
    assert (quiz.n_decisions, quiz.n_engaged) == (80, 80)  # clicked and replied is engaged once
    assert sum(action.n_decisions for action in decided.actions) == 160


def test_a_workspace_with_nothing_in_it_says_what_to_do(report_world: ReportWorld) -> None:
    text = text_of(report_html(report_world.workspace))
    assert "Customers have not been scored yet" in text
    assert "Nothing has been decided yet" in text


def test_one_score_day_has_segments_and_no_movement(report_world: ReportWorld) -> None:
    report_world.score_day(AFTER, NOW, names=NAMES)
    text = text_of(report_html(report_world.workspace))
    assert "Quiet admirers" in text
    assert "Movement needs two days of scores" in text


def test_what_no_model_has_said_is_a_dash_and_not_a_zero(report_world: ReportWorld) -> None:
    report_world.score_day(AFTER, NOW, names=NAMES, propensity=lambda key: None)
    text = text_of(report_html(report_world.workspace))
    assert "likely to buy within 30 days –" in text
    assert re.search(r"\b0%", text) is None


def test_without_a_segments_model_the_funnel_and_its_movement_remain(report_world: ReportWorld) -> None:
    for day, scores in ((BEFORE, THEN), (AFTER, NOW)):
        report_world.score_day(day, [(key, None, stage) for key, _, stage in scores])
    text = text_of(report_html(report_world.workspace))
    assert "No model has put customers into segments yet" in text
    assert "From the stage on 1 Mar 2026" in text


def test_a_customer_in_no_segment_is_not_a_new_one(report_world: ReportWorld) -> None:
    report_world.score_day(BEFORE, [(1, None, "awareness"), (2, "s1", "awareness")])
    report_world.score_day(AFTER, [(1, "s1", "awareness"), (2, "s1", "awareness"), (3, "s1", "awareness")])
    scored = collect(report_world.workspace).scored
    assert scored is not None
    assert scored.segment_movement is not None
    assert scored.segment_movement.counts == {"–": {"s1": 1}, "s1": {"s1": 1}, None: {"s1": 1}}


def test_many_segments_are_all_shown(report_world: ReportWorld) -> None:
    names = {f"s{n}": {"en": f"People number {n}"} for n in range(1, 31)}
    for day in (BEFORE, AFTER):
        report_world.score_day(day, [(key, f"s{key % 30 + 1}", "loyalty") for key in range(90)], names=names)
    text = text_of(report_html(report_world.workspace))
    assert all(f"People number {n} " in text for n in range(1, 31))


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en", ["What personalisation earned", "Quiet admirers", "29 Mar 2026", "Consideration"]),
        ("hi-IN", ["वैयक्तिकरण से क्या मिला", "चुपचाप देखने वाले", "29 मार्च 2026", "विचार"]),
        ("th", ["กลุ่มลูกค้า", "ผู้ชมเงียบ ๆ", "29 มี.ค. 2569", "Regulars"]),  # no Thai name: the default locale's
    ],
)
def test_the_page_speaks_three_languages(report_world: ReportWorld, locale: str, words: list[str]) -> None:
    html = report_html(two_hundred_decisions(two_days(report_world)).workspace, locale=locale)
    assert f'<html lang="{locale[:2]}">' in html
    assert [word for word in words if word not in text_of(html)] == []


def test_a_language_without_words_is_refused_and_an_unknown_default_is_english(report_world: ReportWorld) -> None:
    brand = load_brand(report_world.workspace)
    with pytest.raises(CallersMistake, match="en, hi, th"):
        report_html(report_world.workspace, locale="fr")
    with pytest.raises(CallersMistake, match="hi-Latn"):
        page_language("hi-Latn", brand)
    assert page_language(None, brand.model_copy(update={"default_locale": "fr"})) == "en"


def test_every_message_says_the_same_facts_in_every_language() -> None:
    def facts(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    for key, texts in messages().items():
        assert set(texts) == {"en", "hi", "th"}, key
        assert facts(texts["en"]) == facts(texts["hi"]) == facts(texts["th"]), key


def test_no_message_takes_the_place_of_another() -> None:
    table = files("experiments.report").joinpath("templates", "messages.yaml").read_text("utf-8")
    keys = Counter(re.findall(r"^(\w+):", table, re.MULTILINE))
    assert [key for key, n in keys.items() if n > 1] == []


def test_the_result_is_said_with_its_interval(report_world: ReportWorld) -> None:
    world = two_hundred_decisions(report_world)
    text = text_of(report_html(world.workspace, as_of=NOON + timedelta(days=30)))
    # personalised: 40 of 160 by every fourth + 40 by remainder 1 - 10 both; held out: every fourth of 40
    assert re.search(r"[+−]\d+\.\d points", text)
    assert "95% interval" in text
    assert "margin gained from 160 personalised customers" in text
    assert "Group sizes are as chance makes them" in text
    assert "Still running Reached the goal" in text


def test_a_window_that_is_open_says_when_to_come_back_in_the_brands_time(report_world: ReportWorld) -> None:
    world = two_hundred_decisions(report_world)
    text = text_of(report_html(world.workspace, as_of=NOON + timedelta(days=3)))
    assert "Come back after 8 Mar 2026, 17:30" in text  # 12:00 UTC in Asia/Kolkata


def test_a_sample_ratio_mismatch_is_shouted_and_shows_no_number(report_world: ReportWorld) -> None:
    report_world.decide(range(1, 501), at=NOON, held_out=lambda key: key % 12 == 0)
    text = text_of(report_html(report_world.workspace, as_of=NOON + timedelta(days=30)))
    assert "Something is wrong with the data: 41 customers are held out where chance would make it 100" in text
    assert " points" not in text[: text.index("Segments", 200)]


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en", "held out at different rates (20%, 25%)"),
        ("hi", "अलग-अलग दरों (20%, 25%)"),
        ("th", "สัดส่วนกลุ่มควบคุมเคยเปลี่ยน (20%, 25%)"),
    ],
)
def test_a_changed_holdout_rate_is_said_beside_the_result(report_world: ReportWorld, locale: str, said: str) -> None:
    report_world.decide(range(1, 301), at=NOON, orders=lambda key: 900.0 if key % 3 == 0 else None)
    report_world.decide(
        range(301, 601), at=NOON + timedelta(days=2), rate=0.25, held_out=lambda key: key % 4 == 0,
        orders=lambda key: 900.0 if key % 3 == 0 else None,
    )  # fmt: skip
    html = report_html(report_world.workspace, as_of=NOON + timedelta(days=30), locale=locale)
    assert said in re.sub(r"[\u200e\u00a0]", " ", text_of(html))


def test_names_from_the_data_cannot_become_markup(report_world: ReportWorld) -> None:
    report_world.score_day(AFTER, NOW, names={"s1": {"en": "<script>alert(1)</script>"}})
    html = report_html(report_world.workspace)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_page_names_no_address_outside_and_allows_none(report_world: ReportWorld) -> None:
    html = report_html(two_hundred_decisions(two_days(report_world)).workspace)
    assert "//" not in html.replace("<!doctype html>", "")
    assert "<script" not in html
    assert ' style="' not in html
    assert "default-src &#39;none&#39;" in html
    assert content_security_policy().startswith("default-src 'none'; style-src 'sha256-")


def test_ids_of_the_page_are_unique(report_world: ReportWorld) -> None:
    ids = re.findall(r'\bid="([^"]+)"', report_html(two_hundred_decisions(two_days(report_world)).workspace))
    assert len(ids) == len(set(ids))


def test_the_same_data_gives_the_same_fingerprint_until_something_changes(report_world: ReportWorld) -> None:
    prints = [report_fingerprint(report_world.workspace)]
    for change in (two_days, two_hundred_decisions):
        assert report_fingerprint(report_world.workspace) == prints[-1]
        change(report_world)
        prints.append(report_fingerprint(report_world.workspace))
    assert len(set(prints)) == len(prints)


def test_audience_links_are_the_servers_where_it_says_so(report_world: ReportWorld) -> None:
    html = report_html(two_days(report_world).workspace, audience_link="/report/audience/{segment}.csv")
    assert 'href="/report/audience/s1.csv"' in html


def test_the_command_writes_the_page_and_the_audiences(report_world: ReportWorld) -> None:
    from features.command_line import app

    two_days(report_world).identify((key, f"c{key}", "user") for key in range(1, 12))
    out = report_world.workspace.root / "out"
    arguments = ["report", "--workspace", str(report_world.workspace.root), "--out", str(out), "--locale", "th"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["audience-s1.csv", "audience-s2.csv", "index.html"]
    assert 'lang="th"' in (out / "index.html").read_text("utf-8")


def test_writing_twice_replaces_the_page(report_world: ReportWorld) -> None:
    out = report_world.workspace.root / "out"
    assert write_report(report_world.workspace, out=out) == write_report(report_world.workspace, out=out)


def test_numbers_are_grouped_as_readers_group_them(report_world: ReportWorld) -> None:
    brand = load_brand(report_world.workspace)
    english, hindi, thai = (Words(language, brand) for language in ("en", "hi", "th"))
    assert english.money(123456) == hindi.money(123456) == "₹1,23,456"
    assert thai.number(123456) == "123,456"
    assert english.money(19.5) == "₹19.50"
    assert english.points(-0.0123) == "−1.2"
    assert english.signed_percent(0.1234) == "+12.3%"
    assert (english.percent(0.34), english.percent(0.034), english.percent(0)) == ("34%", "3.4%", "0%")
    assert english("movement_largest", n=1, source="a", target="b").startswith("The largest move: 1 customer from")


def test_a_leap_day_has_its_buddhist_year(report_world: ReportWorld) -> None:
    assert Words("th", load_brand(report_world.workspace)).day(date(2024, 2, 29)) == "29 ก.พ. 2567"


def test_charts_are_drawn_without_style_or_address_and_with_words() -> None:
    days = [BEFORE + timedelta(days=7 * n) for n in range(9)]
    drawn = [
        bar_chart([Bar("क", 0.1, "10%", low=0.05, high=0.2), Bar("ข", 0.0, "0%", low=0.0, high=0.1)], alt='a "b"'),
        bar_chart([Bar("nobody", 0, "0")], alt="nobody"),
        trend_chart(days, [range(9), [5] * 9], day_labels=[str(day) for day in days], alt="trend"),
        sparkline([1, 2, 3], colour="#000", alt="up"),
    ]
    for svg in drawn:
        assert svg.startswith("<svg")
        assert "style=" not in svg
        assert "http" not in svg
    assert 'aria-label="a &quot;b&quot;"' in drawn[0]
    assert ">क<" in drawn[0]
    assert sparkline([4], colour="#000", alt="one day") == ""


def test_shades_grow_with_the_number_and_nobody_has_none() -> None:
    shades = [shade(n, 100) for n in (0, 1, 10, 50, 100)]
    assert shades == sorted(shades)
    assert (shades[0], shades[-1]) == (0, 9)


def test_a_broken_catalogue_is_told_and_the_page_goes_by_the_one_last_in_use(report_world: ReportWorld) -> None:
    workspace = two_hundred_decisions(two_days(report_world)).workspace
    good = workspace.catalogue_file.read_text(encoding="utf-8")
    read_checked(workspace).keep(workspace)
    assert "has faults and is not in use" not in text_of(report_html(workspace))
    workspace.catalogue_file.write_text(good.replace("goal: subscribe", "goal: subscribed", 1), encoding="utf-8")
    told = text_of(report_html(workspace))
    assert "catalogue.yaml has faults and is not in use" in told
    assert "Closest: &#39;subscribe&#39;" in told
    assert "What does your skin need most right now?" in told
