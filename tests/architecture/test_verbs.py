"""What all verbs of the command line have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
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
