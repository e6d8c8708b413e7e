"""YAML that would take the machine with it is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.faults import InvalidFile
from features.yaml_file import DEEPEST, MOST_REPEATED, read_yaml, yaml_of


def test_aliases_of_aliases_are_a_fault_and_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    faults = yaml_of("\n".join(lines), Path("bomb.yaml")).faults
    assert [fault.rule for fault in faults] == [
        f"Aliases may repeat {MOST_REPEATED:,} values in all. Write out what is meant."
    ]


def test_an_alias_that_stands_for_something_short_is_taken() -> None:
    read = yaml_of("limits: &limits {body: 60}\nemail: *limits\n", Path("brand.yaml"))
    assert (read.data, read.faults) == ({"limits": {"body": 60}, "email": {"body": 60}}, ())


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_nesting_without_end_is_refused_before_it_ends_the_process(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(opening * 50_000)
    with pytest.raises(InvalidFile, match=f"line 1: the file: is nested more than {DEEPEST} deep"):
        read_yaml(path)


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    assert yaml_of("a: [" + "[1], " * 1_000 + "]", Path("wide.yaml")).data == {"a": [[1]] * 1_000}
