"""Pages in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run"]
OVERFLOWING = "document.documentElement.scrollWidth - document.documentElement.clientWidth"  # px
PHONE, DESK, PAPER = 390, 1280, 700  # px


@contextmanager
def browser_of(chromium: str) -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


# Every text of a page that stands out less from what is behind it than WCAG 2.2 AA asks for (4.5, or 3 where it is
# large). Charts are left out: their colours are turned over as a whole.
TOO_FAINT = """
() => {
  const parts = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, under) => {
    const alpha = top[3] === undefined ? 1 : top[3];
    return [0, 1, 2].map(i => top[i] * alpha + under[i] * (1 - alpha));
  };
  const behind = element => {
    if (!element) {
      const isDark = getComputedStyle(document.documentElement).colorScheme.includes('dark')
        && matchMedia('(prefers-color-scheme: dark)').matches;
      return isDark ? [18, 18, 18] : [255, 255, 255];
    }
    const own = parts(getComputedStyle(element).backgroundColor);
    return own[3] === 0 ? behind(element.parentElement) : over(own, behind(element.parentElement));
  };
  const light = colour => {
    const [r, g, b] = colour.map(part => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll('body *')].filter(element => {
    if (element.closest('svg') || !element.getClientRects().length) return false;
    return [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  }).map(element => {
    const style = getComputedStyle(element), back = behind(element);
    const lights = [light(over(parts(style.color), back)), light(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    return [ratio, isLarge ? 3 : 4.5, element.textContent.trim().slice(0, 40)];
  }).filter(([ratio, needed]) => ratio < needed).map(([ratio, , text]) => `${ratio.toFixed(2)} ${text}`);
}
"""

# What a key can reach and shows no outline when it does.
REACHED_UNSEEN = """
() => [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].filter(
  element => element.matches('summary') || !element.closest('details:not([open])')
).filter(element => {
  element.focus({focusVisible: true});
  const style = getComputedStyle(element);
  return document.activeElement !== element || style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1;
}).map(element => element.outerHTML.slice(0, 80))
"""

_IS_DARK = """
(() => {
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return r + g + b < 200;
})()
"""
_CUT_OFF = "[...document.querySelectorAll('.scroll, .wide')].filter(one => one.scrollWidth > one.clientWidth).length"


def wrongly_shown(browser: Browser, address: str) -> list[str]:
    """What somebody would not see of a page, on a phone and a desk, by day and by night, by keys and on paper."""
    wrong = []
    for night, width in ((night, width) for night in (False, True) for width in (PHONE, DESK)):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if night else "light")
        page.goto(address)
        where = f"{'dark' if night else 'light'} at {width}: "
        wrong += [where + "wider than the screen"] if page.evaluate(OVERFLOWING) else []
        wrong += [where + "not as dark as asked"] if night and not page.evaluate(_IS_DARK) else []
        wrong += [where + "too faint: " + one for one in page.evaluate(TOO_FAINT)]
        wrong += [where + "no outline: " + one for one in page.evaluate(REACHED_UNSEEN)]
        page.close()
    page = browser.new_page(viewport={"width": PAPER, "height": 1000}, color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    wrong += ["on paper: dark"] if page.evaluate(_IS_DARK) else []
    wrong += ["on paper: too faint: " + one for one in page.evaluate(TOO_FAINT)]
    wrong += ["on paper: cut off"] if page.evaluate(OVERFLOWING) or page.evaluate(_CUT_OFF) else []
    page.close()
    return wrong
