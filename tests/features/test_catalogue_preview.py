"""The page of drawings: every action in every locale on every channel, in a real browser that is asked for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from features.brand import load_brand
from features.catalogue import Catalogue, Item, Rendering, Reply, load_catalogue
from features.faults import CallersMistake
from features.sheets.exporting import workbook_of
from features.sheets.preview import write_preview
from features.sheets.yaml_writing import catalogue_text
from features.starting import write_starter
from features.workspace import Workspace
from tests.pages import OVERFLOWING, browser_of, wrongly_shown

SHAPES = {"whatsapp": "bubble", "line": "bubble", "web": "card", "email": "email"}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with browser_of(chromium) as browser:
        yield browser


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def with_a_bundle(workspace: Workspace) -> Catalogue:
    """The shipped catalogue, whose greeting sells two things and is hostile to browsers."""
    catalogue = load_catalogue(workspace, load_brand(workspace))
    first, *others = catalogue.actions
    greeting = Rendering(
        hook="Hello <script>document.title='owned'</script>",
        body="Two things & a question: {{ 499 | money }} <img src=x onerror=alert(1)>",
        suggested_replies=(
            Reply(text="Dry skin", trait="skin_need", value="dryness"),
            Reply(text="No", refuses="never"),
        ),
        items=(
            Item(title="Cream", url="https://aurelia.example/cream", price="{{ 499 | money }}"),
            Item(title="Serum", url="https://aurelia.example/serum", image="https://aurelia.example/serum.jpg"),
        ),
    )
    changed = first.model_copy(update={"renderings": dict.fromkeys(first.renderings, greeting)})
    return Catalogue(actions=(changed, *others))


def opened(browser: Browser, path: Path, *, width: int) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.goto(path.as_uri())
    return page, [each for each in heard if each != path.as_uri() and each != "data:,"]


def test_every_action_is_drawn_in_every_locale_on_every_channel_and_nothing_is_fetched(
    browser: Browser, shop: Workspace, tmp_path: Path
) -> None:
    brand = load_brand(shop)
    catalogue = load_catalogue(shop, brand)
    path = tmp_path / "page.html"
    assert write_preview(shop, path).startswith(f"{len(catalogue.actions)} actions, ")
    assert wrongly_shown(browser, path.as_uri()) == []
    page, heard = opened(browser, path, width=1280)
    drawn = {
        tuple(figure)
        for figure in page.evaluate(
            "[...document.querySelectorAll('figure')].map(f => [f.closest('section').id, f.dataset.locale,"
            " f.dataset.channel, f.dataset.shape])"
        )
    }
    assert drawn == {
        (action.id, locale, channel, SHAPES[channel])
        for action in catalogue.actions
        for locale in action.renderings
        for channel in action.channels
    }
    assert page.locator(".problem").count() == 0
    thai = page.locator("#welcome_hook figure[data-locale=th][data-channel=line]")
    assert "สวัสดีค่ะ" in thai.inner_text()
    assert thai.locator("[lang=th]").count() == 1
    assert page.locator("#curated_set figure[data-channel=email] .subject").first.is_visible()
    assert heard == []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOWING) <= 0
    page.close()


def test_texts_are_words_whatever_they_hold_and_bundles_and_answers_are_seen(
    browser: Browser, shop: Workspace, tmp_path: Path
) -> None:
    shop.catalogue_file.write_text(catalogue_text(with_a_bundle(shop), before=None).text, encoding="utf-8")
    path = tmp_path / "page.html"
    write_preview(shop, path, actions=["welcome_hook"], locales=["en"])
    page, heard = opened(browser, path, width=900)
    card = page.locator("figure[data-channel=web]")
    assert "<script>" in card.locator(".hook").inner_text()
    assert "₹499" in card.locator(".text").inner_text()
    assert card.locator(".item").count() == 2
    assert "skin_need = dryness" in card.inner_text()
    assert "refuses: never" in card.inner_text()
    assert page.title() == "Aurelia: the catalogue"
    assert heard == []
    page.close()


def test_a_workbook_is_drawn_before_it_is_imported(shop: Workspace, tmp_path: Path) -> None:
    brand = load_brand(shop)
    workbook_of(with_a_bundle(shop), brand).save(tmp_path / "new.xlsx")
    before = shop.catalogue_file.read_bytes()
    write_preview(shop, tmp_path / "page.html", workbook=tmp_path / "new.xlsx")
    assert "aurelia.example/serum.jpg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert shop.catalogue_file.read_bytes() == before


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"actions": ["welcome_hok"]}, "the action 'welcome_hok', which there is not. Closest: 'welcome_hook'"),
        ({"locales": ["de"]}, "the locale 'de', which there is not. There are: en, hi, th"),
    ],
)
def test_what_there_is_not_is_not_drawn(
    shop: Workspace, tmp_path: Path, asked: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(CallersMistake, match=words):
        write_preview(shop, tmp_path / "page.html", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "page.html").exists()
