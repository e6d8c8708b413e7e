"""The page in a real browser: nothing leaves, nothing is refused, everything fits, in three languages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from experiments.report import write_report
from tests.experiments.test_report_arms import an_experiment
from tests.experiments.test_report_exploration import HALF, explored
from tests.pages import OVERFLOWING, browser_of, wrongly_shown

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld

NAMES = {"s1": {"en": "Quiet admirers", "hi": "चुपचाप देखने वाले", "th": "ผู้ชมเงียบ ๆ"}}
TITLES = {"en": "What personalisation earned", "hi": "वैयक्तिकरण से क्या मिला", "th": "การปรับให้ตรงใจแต่ละคนให้ผลอะไร"}

TEXT_OUTSIDE_ITS_CHART = """
[...document.querySelectorAll('svg.chart')].filter(svg => svg.getClientRects().length).flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const inner = text.getBoundingClientRect();
    return inner.left < box.left - 1 || inner.right > box.right + 1;
  }).map(text => text.textContent);
})
"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with browser_of(chromium) as browser:
        yield browser


@pytest.mark.parametrize("locale", ["en", "hi", "th"])
def test_the_page_shows_itself_and_asks_for_nothing(browser: Browser, report_world: ReportWorld, locale: str) -> None:
    stages = ("awareness", "consideration", "conversion", "loyalty")
    for day, shift in ((date(2026, 3, 1), 0), (date(2026, 3, 29), 1)):
        customers = [(key, f"s{(key + shift) % 5 + 1}", stages[(key + shift) % 4]) for key in range(1, 200)]
        report_world.score_day(day, customers, names=NAMES)
    report_world.decide(
        range(1, 401),
        at=datetime(2026, 3, 1, tzinfo=UTC),
        action=lambda key: ("skin_quiz", "nothing")[key % 2],
        orders=lambda key: 1000.0 if key % 3 == 0 else None,
    )
    an_experiment(report_world)
    explored(report_world, HALF)
    path = write_report(report_world.workspace, out=report_world.workspace.root / "out", locale=locale)

    page = browser.new_page(viewport={"width": 1280, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())

    assert requests == [path.as_uri()]
    assert complaints == []
    assert page.locator("#result-title").inner_text() == TITLES[locale]
    assert page.locator("#arms-title").is_visible()
    assert page.locator("#new-caption").is_visible()
    assert page.locator("h3", has_text=NAMES["s1"][locale]).is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 244, 239)"  # its style counts
    assert page.locator("svg.chart:visible").count() == 3
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOWING) == 0
        assert page.evaluate(TEXT_OUTSIDE_ITS_CHART) == []
    page.close()
    assert wrongly_shown(browser, path.as_uri()) == []
