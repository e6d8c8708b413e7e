"""What all verbs of the command line have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest
from typer.main import get_command

from features.command_line import app


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
