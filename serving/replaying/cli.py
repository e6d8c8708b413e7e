"""The verb that makes a recorded decision once more."""

from __future__ import annotations

from typing import Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

DIFFERS = 1


def replay(
    decision_id: Annotated[str, typer.Argument(help="As the decision's answer gave it.")],
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Makes a decision once more from its record: the same, byte for byte, or what exactly differs."""
    from serving.replaying.replay import replay_decision
    from serving.replaying.verdicts import as_text

    verdict = replay_decision(find_workspace(workspace), decision_id)
    if as_json:
        import json

        typer.echo(json.dumps(verdict.as_dict(), ensure_ascii=False, indent=2))
    else:
        typer.echo(as_text(verdict))
    if not verdict.is_same:
        raise typer.Exit(DIFFERS)
