"""The verb `catalogue`: export, import, preview."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

catalogue = group_of_verbs("The catalogue as a workbook and as pages: export, import, preview.")


@catalogue.command("export")
def export_catalogue(
    file: Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="The workbook to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over a file that is there already.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Writes catalogue.yaml as a workbook: a row an action, a column a locale for what customers read."""
    from features.sheets.exporting import write_workbook

    written = write_workbook(find_workspace(workspace), file, overwrite=overwrite)
    typer.echo(f"wrote {file}: {written}")


@catalogue.command("import")
def import_catalogue(
    file: Annotated[Path, typer.Argument(metavar="FILE.xlsx", help="A workbook that 'export' has written.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check, and say what would change.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Reads a workbook back into catalogue.yaml; on a fault nothing is written but a copy that marks its cells."""
    from features.sheets.taking_over import take_over

    typer.echo(str(take_over(find_workspace(workspace), file, dry_run=dry_run)))


@catalogue.command("preview")
def preview_catalogue(
    action: Annotated[list[str] | None, typer.Option("--action", help="Only this action; may be repeated.")] = None,
    locale: Annotated[list[str] | None, typer.Option("--locale", help="Only this locale; may be repeated.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("catalogue-preview.html"),
    workbook: Annotated[
        Path | None, typer.Option("--workbook", metavar="FILE.xlsx", help="Draw what it says, before it is imported.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Draws every action as its reader sees it: chat bubble, e-mail, card; each locale, each channel, one HTML page."""
    from features.sheets.preview import write_preview

    place = find_workspace(workspace)
    typer.echo(f"wrote {out}: {write_preview(place, out, actions=action, locales=locale, workbook=workbook)}")
