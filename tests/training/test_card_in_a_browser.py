"""A model card in a real browser: as wide as the screen, be it a phone's, and it asks for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import DESK, OVERFLOWING, PHONE, browser_of
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
