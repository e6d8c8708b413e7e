"""docs/catalogue.md: its example is an action, and its claims hold."""

from __future__ import annotations

import re
from pathlib import Path

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.rendering import RenderedMessage, render
from features.starting import write_starter
from features.workspace import Workspace

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"


def test_the_documented_action_is_sound_and_reads_as_it_should(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    example = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)[0]
    with workspace.catalogue_file.open("a", encoding="utf-8") as file:
        file.write(f"\n{example}")
    brand = load_brand(workspace)
    action = load_catalogue(workspace, brand).action("birthday_treat")
    message = render(action, brand=brand, locale="en-IN", slots={"day": "1990-03-05"}, channel="email")
    assert isinstance(message, RenderedMessage)
    assert (message.hook, message.body) == ("₹100 for you", "A treat for 5 March 1990, good for dryness too.")
