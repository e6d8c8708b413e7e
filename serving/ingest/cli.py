"""The verb `dead-letters`: events that could not be taken, with the reason, and how they are sent through again."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

dead_letters = group_of_verbs("Live events that could not be taken: list them, replay them.")

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only those with this reason.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]


@dead_letters.command("list")
def list_letters(
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what could not be taken, and why."""
    from serving.ingest.told import told_letters
    from serving.ingest.verb import letters_of
    from serving.settings import read_settings

    found = letters_of(find_workspace(workspace), reason=reason, limit=limit)
    kept = read_settings().dead_letters_kept
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else told_letters(found, kept=kept))


@dead_letters.command()
def replay(
    letters: Annotated[
        list[int] | None, typer.Argument(help="Numbers from the list; default: all.", show_default=False)
    ] = None,
    reason: ReasonOption = None,
    any_time: Annotated[bool, typer.Option("--any-time", help="Take events however old they are.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sends them through again, by today's brand.yaml: what is taken now leaves the list, the others stay."""
    from serving.ingest.told import told_replay
    from serving.ingest.verb import replay_letters

    found = replay_letters(find_workspace(workspace), numbers=letters or None, reason=reason, any_time=any_time)
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else told_replay(found))
