"""What all verbs of the command line have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from features.command_line import app
from features.starting import write_starter
from serving.formats import FORMATS


def _commands(command: Any, words: tuple[str, ...], context: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield " ".join(words), command
        return
    for name in command.list_commands(context):
        yield from _commands(command.get_command(context, name), (*words, name), context)


def test_every_verb_that_works_in_a_workspace_says_how_it_finds_it() -> None:
    root: Any = get_command(app)
    told = {
        words: option.help
        for words, command in _commands(root, ("rapport",), click.Context(root))
        for option in command.params
        if option.name == "workspace"
    }
    assert len(told) > 30
    assert [words for words, said in told.items() if "$RAPPORT_WORKSPACE, else ./workspace" not in (said or "")] == []


def _groups(command: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(command, "list_commands"):
        yield command, context
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from _groups(inner, click.Context(inner, info_name=name, parent=context))


def test_every_group_that_is_asked_for_no_verb_of_its_names_those_there_are() -> None:
    root: Any = get_command(app)
    groups = list(_groups(root, click.Context(root, info_name="rapport")))
    assert len(groups) > 8
    for group, context in groups:
        first, *others = group.list_commands(context)
        with pytest.raises(click.UsageError) as refused:
            group.resolve_command(context, [f"{first}x"])
        said = refused.value.message
        assert f"Asked for '{context.command_path} {first}x', which is not a verb. Closest: '{first}'." in said
        assert all(name in said for name in (first, *others))


def test_every_option_of_every_verb_says_what_it_is_for_and_none_is_of_a_shell() -> None:
    root: Any = get_command(app)
    groups = list(_groups(root, click.Context(root, info_name="rapport")))
    assert {option.name for group, _ in groups for option in group.params} == set()
    commands = list(_commands(root, ("rapport",), click.Context(root)))
    assert [words for words, command in commands if not command.help] == []
    untold = [
        f"{words} {option.name}"
        for words, command in commands
        for option in command.params
        if option.name != "help" and not option.help
    ]
    assert untold == []


def test_every_verb_says_what_it_does_in_one_mood() -> None:
    root: Any = get_command(app)
    told = {words: command.help for words, command in _commands(root, ("rapport",), click.Context(root))}
    assert len(told) > 35
    assert [said for said in told.values() if not said.split()[0].rstrip(",").endswith("s")] == []  # Writes, not Write


def test_what_is_written_to_a_file_is_named_by_one_option() -> None:
    root: Any = get_command(app)
    commands = dict(_commands(root, ("rapport",), click.Context(root)))
    assert "--out" in [name for option in commands["rapport customer export"].params for name in option.opts]
    assert [words for words, one in commands.items() for option in one.params if "--to" in option.opts] == []


def test_decide_names_every_format_that_there_is() -> None:
    root: Any = get_command(app)
    decide = dict(_commands(root, ("rapport",), click.Context(root)))["rapport decide"]
    (said,) = [option.help for option in decide.params if option.name == "format"]
    assert [name for name in FORMATS if name not in said] == []


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--seed", "-1"),
        ("train", "--seed", str(2**32)),
        ("evaluate", "segments", "--seed", "-1"),
        ("evaluate", "segments", "--onward-days", "9999999"),
        ("evaluate", "response", "--campaign", "a", "--outcome", "b", "--window-days", "1e300"),
        ("evaluate", "next-purchase", "--cutoff", "2026-01-01", "--horizon-days", "7", "--seed", "-1"),
        ("features", "build", "--history-weeks", "1000000"),
    ],
)
def test_a_number_that_nobody_can_mean_is_refused_before_anything_is_read(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 2
    assert f"Invalid value for '{words[-2]}'" in done.output


def test_features_of_an_instant_that_has_not_come_are_refused(tmp_path: Path) -> None:
    write_starter(tmp_path)
    for verb in (("build",), ("materialize",), ("check", "n_orders")):
        done = CliRunner().invoke(app, ["features", *verb, "--as-of", "2999-01-01", "--workspace", str(tmp_path)])
        assert "what happens until then is not known" in str(done.exception)


def test_a_holdout_that_has_not_come_is_refused(tmp_path: Path) -> None:
    write_starter(tmp_path)
    for which in ("holdout", "arms"):
        words = ["experiment", "analyse", which, "--as-of", "2999-01-01", "--workspace", str(tmp_path)]
        said = str(CliRunner().invoke(app, words).exception)
        assert "what happens until then is not known" in said or "brand.yaml has none" in said
