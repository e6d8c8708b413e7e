"""What the brand calls its segments: `segments.yaml`, which belongs to the marketer and outlives every version.

    s1:
      en: Our regulars
      th: ลูกค้าประจำ

A segment that is not named here, or not in a locale, keeps the name that training found for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from features.faults import CallersMistake, Fault, InvalidFile
from features.yaml_file import YamlFile, read_yaml

SEGMENTS_FILE = "segments.yaml"
LONGEST_NAME = 80
HEADER = """\
# What you call your segments: by id, a name in each locale. It belongs to you: training never writes it, and a segment
# that lives on in the next version keeps its id. A name that is not here is the one that training found.
"""

Names = dict[str, dict[str, str]]


def read_segment_names(root: Path) -> Names:
    """The names in a workspace's segments.yaml, by id, then locale; empty where there is no such file.

    Raises:
        InvalidFile: with every fault and its line.
    """
    path = root / SEGMENTS_FILE
    if not path.is_file():
        return {}
    file = read_yaml(path)
    if faults := [*file.faults, *_faults(file)]:
        raise InvalidFile(path, faults)
    said = file.data if isinstance(file.data, dict) else {}
    return {identity: {locale: str(name).strip() for locale, name in of.items()} for identity, of in said.items()}


def rename_segment(root: Path, identity: str, name: str, *, locale: str, others: Iterable[str] = ()) -> Path:
    """Writes one name into segments.yaml, in one step; comments of one's own in the file are lost.

    Args:
        root: of the workspace.
        identity: the segment's id.
        name: what it is to be called.
        locale: in which.
        others: what the other segments that are served are called in that locale. An id that is not served any more
            gives up such a name of its own: a file in which two have one name would be refused as a whole.

    Raises:
        CallersMistake: the name is empty, too long, or another segment's.
    """
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise CallersMistake(
            f"Asked to call segment '{identity}' '{name}', which has {len(name)} characters. "
            f"A name has 1 to {LONGEST_NAME}."
        )
    if name in others:
        raise CallersMistake(
            f"Asked to call segment '{identity}' '{name}' in {locale}, but another segment is called that. "
            "Two segments of one name cannot be told apart in a report: choose another."
        )
    names = {
        other: {where: said for where, said in of.items() if other == identity or (where, said) != (locale, name)}
        for other, of in read_segment_names(root).items()
    }
    names.setdefault(identity, {})[locale] = name
    path = root / SEGMENTS_FILE
    draft = path.with_name(f".{SEGMENTS_FILE}.{os.getpid()}")
    text = yaml.safe_dump({other: of for other, of in sorted(names.items()) if of}, allow_unicode=True, sort_keys=False)
    draft.write_text(HEADER + text, encoding="utf-8")
    draft.replace(path)
    return path


def renamed(found: Mapping[str, Mapping[str, str]], edits: Mapping[str, Mapping[str, str]]) -> Names:
    """The names that training found, with the brand's own in their place."""
    return {identity: {**names, **edits.get(identity, {})} for identity, names in found.items()}


def _faults(file: YamlFile) -> Iterator[Fault]:
    if not isinstance(file.data, dict):
        yield file.fault((), "is not a mapping.", "It holds segment ids, each with a name a locale.")
        return
    seen: dict[tuple[str, str], str] = {}
    for identity, names in file.data.items():
        if not isinstance(names, dict):
            yield file.fault((identity,), "has no names by locale.", "Write it as 's1: {en: Our regulars}'.")
            continue
        for locale, name in names.items():
            at = (identity, locale)
            if not isinstance(name, str) or not 1 <= len(name.strip()) <= LONGEST_NAME:
                yield file.fault(at, f"has the name '{name}'.", f"A name is text of 1 to {LONGEST_NAME} characters.")
            elif (first := seen.setdefault((locale, name.strip()), identity)) != identity:
                yield file.fault(at, f"is called '{name}', as '{first}' is.", "Two segments have two names.")
