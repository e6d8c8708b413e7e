"""A catalogue as the text of catalogue.yaml, with everything of the text before that still says the same.

An action that has not changed keeps its lines and the comments in and above them. One that has changed is written anew:
comments above it stay, those inside it go. Where the text before cannot be kept in parts (an anchor used by another
action, one line for all), everything is written anew below its first comments. Whatever is written is read again, and
is the very catalogue that was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from features.catalogue import Action, Catalogue
from features.validation import validate
from features.yaml_file import plain_scalar, yaml_of

_WIDTH = 120
_INDENT = "  "
_SHORT = 80  # a longer text in double quotes would be broken with backslashes


@dataclass(frozen=True, slots=True)
class WrittenCatalogue:
    """The text, and the ids of the actions in it that were written anew; all of them where nothing could be kept."""

    text: str
    anew: tuple[str, ...]


def catalogue_text(catalogue: Catalogue, *, before: str | None) -> WrittenCatalogue:
    """The text of a catalogue.

    Args:
        catalogue: what it shall say.
        before: the text that it takes the place of; None where there is none.
    """
    parts = _parts_of(before) if before is not None else None
    if before is not None and parts is not None:
        written = _kept(catalogue, parts)
        if catalogue_of(written.text) == catalogue:
            return written
    head = _first_comments(before or "")
    blocks = [_block(action) for action in catalogue.actions]
    return WrittenCatalogue(f"{head}actions:\n" + "\n".join(blocks), tuple(each.id for each in catalogue.actions))


def catalogue_of(text: str) -> Catalogue | None:
    """The catalogue that a text says, by its shape; None where it says none."""
    try:
        file = yaml_of(text, Path("catalogue.yaml"))
    except ValueError:
        return None
    found, faults = validate(file, Catalogue)
    return None if file.faults or faults else found


@dataclass(frozen=True, slots=True)
class _Parts:
    """A text in lines: what stands before the first action, each action with what stands above it, the end."""

    head: str
    actions: Mapping[str, tuple[str, str, Action]]  # id → the comments above, the action's own lines, what they say
    tail: str


def _kept(catalogue: Catalogue, parts: _Parts) -> WrittenCatalogue:
    anew: list[str] = []
    text = parts.head
    for action in catalogue.actions:
        above, own, said = parts.actions.get(action.id, ("\n", "", None))
        if said != action:
            anew.append(action.id)
            own = _block(action)
        text += above + own
    return WrittenCatalogue(text + parts.tail, tuple(anew))


def _parts_of(text: str) -> _Parts | None:
    """The text in parts; None where its actions do not each begin a line of a list of their own."""
    catalogue = catalogue_of(text)
    node = yaml.compose(text, Loader=yaml.SafeLoader) if catalogue is not None else None
    if catalogue is None or not isinstance(node, yaml.MappingNode):
        return None
    listed = next((value for key, value in node.value if key.value == "actions"), None)
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style:
        return None
    lines = text.splitlines(keepends=True)
    begins = [item.start_mark.line for item in listed.value]
    dash = listed.start_mark.column
    if any(not lines[line][dash:].startswith("-") or lines[line][:dash].strip() for line in begins):
        return None
    if any(later <= first for first, later in pairwise(begins)):
        return None
    ends = [*begins[1:], listed.end_mark.line if listed.end_mark.column == 0 else len(lines)]
    head_end = _above(lines, begins[0], floor=listed.start_mark.line)
    actions: dict[str, tuple[str, str, Action]] = {}
    above_from = head_end
    tail_from = len(lines)
    for action, begin, end in zip(catalogue.actions, begins, ends, strict=True):
        own_end = _above(lines, end, floor=begin + 1)
        own = "".join(lines[begin:own_end])
        actions[action.id] = ("".join(lines[above_from:begin]), own if own.endswith("\n") else f"{own}\n", action)
        above_from = tail_from = own_end
    return _Parts("".join(lines[:head_end]), actions, "".join(lines[tail_from:]))


def _above(lines: Sequence[str], line: int, *, floor: int) -> int:
    """Where the comments and blank lines above a line begin."""
    while line > floor and (not lines[line - 1].strip() or lines[line - 1].lstrip().startswith("#")):
        line -= 1
    return line


def _first_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    count = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    return "".join(lines[:count])


def _block(action: Action) -> str:
    """One action as an item of the list."""
    said = action.model_dump(mode="json", exclude_defaults=True)
    text = yaml.dump(
        [_short(said)], Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH, default_flow_style=None
    )
    return "".join(f"{_INDENT}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _short(value: Any) -> Any:
    """Whole numbers without their `.0`."""
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Writes what our own reader reads: its plain words and numbers are YAML 1.2's, PyYAML's are 1.1's."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_scalar(text), str) else '"'
    if style is None and len(text) <= _SHORT and yaml.safe_dump(text, allow_unicode=True).startswith("'"):
        style = '"'  # expressions and texts are full of single quotes, which single quotes would double
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
