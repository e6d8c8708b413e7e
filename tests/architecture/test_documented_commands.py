"""What README and docs tell people to type is what the command takes: every verb, argument and option."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.typed import parsed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "recipes").glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands_of(page: Path) -> list[str]:
    """Each `rapport …` of its blocks, with what may be given in brackets, without the comment behind it."""
    text = "\n".join(BLOCK.findall(page.read_text("utf-8")))
    text = re.sub(r"\\?\n +(?=[\[-])", " ", text)
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    found = [line for line in lines if line.startswith("rapport ")]
    return [re.sub(r"[\[\]]| > .*", "", line).replace("en|hi|th", "en").replace("…", "2026-03-01") for line in found]


COMMANDS = [(page.relative_to(ROOT), line) for page in PAGES for line in commands_of(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_documented_command_is_taken(page: Path, line: str) -> None:
    parsed(shlex.split(line, comments=True))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rapport decides c-1", "is not a verb"),
        ("rapport decide c-1 --placement p --chanel web", "No such option: --chanel"),
        ("rapport coupons import spring", "Missing parameter: file"),
    ],
)
def test_a_command_that_is_not_there_is_not_taken(line: str, told: str) -> None:
    with pytest.raises(Exception, match=told):
        parsed(shlex.split(line))


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) > 50
