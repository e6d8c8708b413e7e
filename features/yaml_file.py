"""A YAML file as plain data with the line of every key and item, so that a fault can say where it stands.

Scalars follow YAML 1.2's core schema: only `true` and `false` are booleans, dates stay text, and a key is always text
(Norwegian is `no`, not false).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from features.faults import CallersMistake, Fault, InvalidFile
from features.machine_faults import said_of_system

Location = tuple[str | int, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is built in: ten times faster

DEEPEST, MOST_REPEATED = 100, 100_000  # libyaml ends the process where brackets go deep; nine aliases are 9^9 nodes
_OPENING = re.compile(r"[\[{]|[-?:] +[-?]")

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a file says, where it says it, and the faults that its form alone has."""

    path: Path
    data: object
    lines: dict[Location, int]
    faults: tuple[Fault, ...] = ()

    def line(self, location: Location) -> int | None:
        """The line of that key or item, else of the nearest one around it; counted from 1."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.lines:
                return self.lines[location[:length]]
        return None

    def name_of(self, location: Location) -> str:
        """The location as people write it; an item with an id goes by its id: `actions.skin_quiz.kind`."""
        name, here = "", self.data
        for part in location:
            if isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
                known_as = here.get("id") if isinstance(here, dict) else None
                name += f".{known_as}" if isinstance(known_as, str) else f"[{part}]"
            else:
                here = here.get(part) if isinstance(here, dict) else None
                name += f"[{part}]" if isinstance(part, int) else f".{part}"
        return name.removeprefix(".") or "the file"

    def value_at(self, location: Location) -> object:
        """The value at that location; None where there is none."""
        here = self.data
        for part in location:
            if isinstance(here, dict):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def fault(self, location: Location, problem: str, rule: str = "", closest: str | None = None) -> Fault:
        """A fault at that location, with its line."""
        return Fault(self.name_of(location), problem, rule, self.line(location), closest)


@dataclass(slots=True)
class _Reading:
    """The state of one walk over the nodes of a file."""

    lines: dict[Location, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    around: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    n_repeated: int = 0

    def value(self, node: yaml.Node, at: Location) -> object:
        if self.is_too_much(node, at):
            return None
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self.around:
            self.fault(at, node, "refers to itself", "An alias may not stand inside its own anchor.")
            return None
        self.around.append(id(node))
        value = self.items(node, at) if isinstance(node, yaml.SequenceNode) else self.mapping(node, at)
        self.around.pop()
        return value

    def is_too_much(self, node: yaml.Node, at: Location) -> bool:
        if id(node) not in self.seen:
            self.seen.add(id(node))
            return self.n_repeated > MOST_REPEATED
        self.n_repeated += 1
        if self.n_repeated == MOST_REPEATED + 1:
            rule = f"Aliases may repeat {MOST_REPEATED:,} values in all. Write out what is meant."
            self.fault(at, node, "is repeated by aliases of aliases without end", rule)
        return self.n_repeated > MOST_REPEATED

    def items(self, node: yaml.SequenceNode, at: Location) -> list[object]:
        return [self.value(item, (*at, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: yaml.Node, at: Location) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.fault(at, key_node, "has a key that is a list or a mapping", "A key is a plain word.")
                continue
            key, location = key_node.value, (*at, key_node.value)
            if key == "<<" and not key_node.style:
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    whole = self.value(source, at)
                    merged = {**(whole if isinstance(whole, dict) else {}), **merged}
                continue
            if key in own:
                first = self.lines[location]
                self.fault(location, key_node, f"is written twice, first on line {first}", "A key stands once.")
                continue
            self.lines[location] = key_node.start_mark.line + 1
            own[key] = self.value(value_node, location)
        return {**merged, **own}

    def fault(self, at: Location, node: yaml.Node, problem: str, rule: str) -> None:
        name = ".".join(str(part) for part in at) or "the file"
        self.faults.append(Fault(name, f"{problem}.", rule, node.start_mark.line + 1))


def _scalar(node: yaml.ScalarNode) -> object:
    text: str = node.value
    return text if node.style or node.tag == "!" else plain_scalar(text)


def plain_scalar(text: str) -> object:
    """What a text means where it stands without quotes."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return text
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def read_yaml(path: Path, *, remedy: str = "It is written by 'rapport init'.") -> YamlFile:
    """The file's data, lines and faults of form (a key written twice, an alias inside itself).

    Args:
        path: of the file.
        remedy: what to do where it is not there.

    Raises:
        CallersMistake: the file cannot be read.
        InvalidFile: it is not UTF-8 text or not YAML at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFile(
            path, [Fault("the file", f"byte {error.start} is not UTF-8.", "Save it as UTF-8.")]
        ) from error
    except OSError as error:
        raise CallersMistake(f"Asked to read '{path}', but {said_of_system(error)}. {remedy}") from error
    return yaml_of(text, path)


def yaml_of(text: str, path: Path) -> YamlFile:
    """A text as `read_yaml` reads a file.

    Args:
        text: the YAML.
        path: of the file that it is of.

    Raises:
        InvalidFile: it is not YAML at all.
    """
    try:
        _require_shallow(text, path)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise InvalidFile(path, [_syntax_fault(error)]) from error
    if node is None:
        return YamlFile(path, {}, {(): 1})
    reading = _Reading()
    data = reading.value(node, ())
    return YamlFile(path, data, reading.lines, tuple(reading.faults))


def _require_shallow(text: str, path: Path) -> None:
    """Refuses a nesting so deep that composing it would end the process; events are read without going deep."""
    if len(_OPENING.findall(text)) <= DEEPEST:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark is not None else None
            problem, rule = f"is nested more than {DEEPEST} deep.", "Look for brackets that are not closed."
            raise InvalidFile(path, [Fault("the file", problem, rule, line)])


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    line = mark.line + 1 if mark is not None else None
    return Fault("the file", f"is not YAML: {problem}.", "Look at the indentation, quotes and brackets here.", line)
