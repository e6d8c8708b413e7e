"""The verb `customer`: what a person may ask of a brand, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

customer = group_of_verbs("What is kept of a customer: export, erase.")

CustomerArgument = Annotated[str, typer.Argument(help="Your own id of the customer, or a device's anonymous id.")]


@customer.command()
def erase(
    customer_id: CustomerArgument,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The receipt as one JSON object.")] = False,
) -> None:
    """Removes everything of one person and shows the receipt; killed midway, the same command goes on."""
    import json

    from features.erasure import erase as take_out
    from features.erasure import receipt_of
    from features.faults import CallersMistake
    from serving.erasing.words import told_receipt

    found = find_workspace(workspace)
    try:
        receipt = take_out(found, customer_id)
    except CallersMistake:
        unfinished = receipt_of(found, customer_id)
        if unfinished is None or unfinished["finished_at"] is not None:
            raise
        receipt = unfinished  # the lake is being written to
    typer.echo(json.dumps(receipt, ensure_ascii=False, indent=2) if as_json else told_receipt(receipt))
    if receipt["finished_at"] is None:
        raise typer.Exit(1)


@customer.command()
def export(
    customer_id: CustomerArgument,
    workspace: WorkspaceOption = None,
    out: Annotated[Path | None, typer.Option(help="A file to write; default: standard output.")] = None,
) -> None:
    """Writes everything that is kept of one person as one JSON object."""
    import json

    from features.exporting import export_customer

    text = json.dumps(export_customer(find_workspace(workspace), customer_id), ensure_ascii=False, indent=2)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", "utf-8")
        typer.echo(f"Everything that is kept of '{customer_id}' is in {out}.")
