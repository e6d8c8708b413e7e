"""A model card in a real browser: as wide as the screen, be it a phone's, and it asks for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import DESK, OVERFLOWING, PHONE, browser_of, wrongly_shown
from training.cards.card import Card, Section, Table, write_card

LONG = "trait_" + "very_long_name_" * 8
WIDE = Table(
    tuple(f"heading {number}" for number in range(9)),
    (tuple(f"0.{number}61 (0.{number}52 \N{EN DASH} 0.{number}70)" for number in range(9)),),
)
NAMES = Table(("input", "meaning"), ((LONG, f"What '{LONG}' was when it was last declared"),))


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_card_is_as_wide_as_the_screen(chromium: str, tmp_path: Path, width: int) -> None:
    card = Card(f"Model card: {LONG}", (Section("How good it is", (f"By {LONG}.",), (WIDE, NAMES)),))
    write_card(tmp_path, card)
    address = (tmp_path / "card.html").as_uri()
    asked: list[str] = []
    with browser_of(chromium) as browser:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        assert page.evaluate(OVERFLOWING) == 0
        figures = page.locator("td").first
        assert figures.bounding_box()["height"] < 80  # three lines: a figure is not one letter a line
        page.screenshot(path=str(tmp_path / f"card-{width}.png"), full_page=True)
    assert asked == [address]


def test_a_card_is_seen_by_night_by_keys_and_on_paper(chromium: str, tmp_path: Path) -> None:
    write_card(tmp_path, Card("Model card", (Section("How good it is", ("By group.",), (WIDE, NAMES)),)))
    with browser_of(chromium) as browser:
        assert wrongly_shown(browser, (tmp_path / "card.html").as_uri()) == []


def test_on_a_phone_tables_scroll_by_keys_instead_of_being_squeezed(chromium: str, tmp_path: Path) -> None:
    meaning = "how many orders were completed in the thirty days before the row's instant"
    table = Table(("input", "from", "unit", "meaning", "beside"), (("n_orders", "recent", "orders", meaning, meaning),))
    write_card(tmp_path, Card("Model card", (Section("What it is told", (), (table,)),)))
    with browser_of(chromium) as browser:
        page = browser.new_page(viewport={"width": PHONE, "height": 900})
        page.goto((tmp_path / "card.html").as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "wide"
        assert page.evaluate("document.activeElement.scrollWidth > document.activeElement.clientWidth")
        assert min(page.evaluate("[...document.querySelectorAll('td')].slice(3).map(td => td.clientWidth)")) > 200
        assert page.evaluate(OVERFLOWING) == 0
