"""A command line as the command takes it, without calling anything."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from features.command_line import app


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters of a command line; fails on a verb or an option that there is not."""
    command: Any = get_command(app)
    context: Any = None
    while True:
        context = command.make_context(words[0], words[1:], parent=context)
        if not hasattr(command, "get_command"):
            params: dict[str, Any] = context.params
            return params
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        words = [name, *rest]
