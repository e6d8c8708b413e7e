"""The verb that asks what another catalogue would have done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption


def what_if(
    catalogue: Annotated[Path, typer.Option(help="The changed catalogue: a .yaml, or an .xlsx as exported.")],
    last: Annotated[str, typer.Option(help="Which decisions of the past to ask about: 30d, 48h.")] = "30d",
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs nothing else here.")] = None,
) -> None:
    """Says what a changed catalogue would have done with the decisions of the past days, and would have earned."""
    from serving.what_if.asking import ask_what_if
    from serving.what_if.telling import as_page, as_text

    told = ask_what_if(find_workspace(workspace), catalogue, last=last)
    if html is not None:
        html.write_text(as_page(told), encoding="utf-8")
    if as_json:
        import json

        typer.echo(json.dumps(told.as_dict(), ensure_ascii=False, indent=2))
    else:
        typer.echo(as_text(told))
        if html is not None:
            typer.echo(f"Written: {html}")
