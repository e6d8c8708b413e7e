"""Groups of the command's verbs: what stands behind `rapport`, `rapport models`, `rapport experiment analyse`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from features.faults import closest_hint


class Verbs(TyperGroup):
    """Says which verbs there are where one is asked for that is not."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As click does, but a verb that is not there is told with those that are."""
        there = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in there:
            ctx.fail(
                f"Asked for '{ctx.command_path} {args[0]}', which is not a verb.{closest_hint(args[0], there)} "
                f"There are {', '.join(there)}; '{ctx.command_path} --help' says what each does."
            )
        return super().resolve_command(ctx, args)


def group_of_verbs(meaning: str, *, cls: type[Verbs] = Verbs) -> typer.Typer:
    """A group without verbs yet.

    Args:
        meaning: what its help says of it.
        cls: how its verbs are found.
    """
    return typer.Typer(cls=cls, no_args_is_help=True, add_completion=False, help=meaning)
