"""The verbs of a workspace's files: init, check, schema."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from features.checking import CheckReport

_CALLERS_MISTAKE = 2


class SchemaOf(StrEnum):
    """What there is a JSON Schema of."""

    BRAND = "brand"
    CATALOGUE = "catalogue"
    MAPPING = "mapping"
    EVENT = "event"


def init(
    directory: Annotated[Path, typer.Argument(help="The folder of the new workspace; made where it is missing.")],
) -> None:
    """Writes a commented starting point: brand.yaml, catalogue.yaml and one feature of the brand's own."""
    from features.starting import write_starter

    for path in write_starter(directory):
        typer.echo(f"wrote {path}")
    typer.echo(f"Make them yours, then: rapport check --workspace {directory}")


def check(
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Checks the workspace's files as a whole and its lake: PASS, WARN or FAIL, and what each means."""
    from features.checking import check_workspace

    report = check_workspace(find_workspace(workspace))
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
    else:
        _show(report)
    if report.status == "FAIL":
        raise typer.Exit(_CALLERS_MISTAKE)


def schema(
    of: Annotated[SchemaOf, typer.Argument(help="What to print the JSON Schema of.")],
) -> None:
    """Prints a JSON Schema, for editors that complete and check YAML as you write."""
    typer.echo(json.dumps(_schema(of), ensure_ascii=False, indent=2))


def _schema(of: SchemaOf) -> dict[str, object]:
    if of is SchemaOf.EVENT:
        from features.event_schema import event_schema

        return event_schema()
    from pydantic import BaseModel

    from features.brand import Brand
    from features.catalogue import Catalogue
    from features.importing.mapping import Mapping

    models: dict[SchemaOf, type[BaseModel]] = {
        SchemaOf.BRAND: Brand,
        SchemaOf.CATALOGUE: Catalogue,
        SchemaOf.MAPPING: Mapping,
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **models[of].model_json_schema()}


def _show(report: CheckReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for result in report.results:
        told = Text(result.name, style="bold")
        told.append(f"\n{result.meaning}", style="not bold")
        if result.detail:
            told.append(f"\n{result.detail}", style="not bold dim")
        table.add_row(Text(result.status, style=colours[result.status]), told)
    console = Console()
    console.print(table)
    for path in dict.fromkeys(path for path, _ in report.faults):
        console.print(Text(f"\n{path}", style="bold"))
        for fault in (fault for of, fault in report.faults if of == path):
            console.print(Text(f"  {fault}"), soft_wrap=True)
