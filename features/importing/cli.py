"""`rapport import` and `rapport mapping`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.faults import CallersMistake
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from rich.console import Console

    from features.importing.report import ImportReport

mapping = group_of_verbs("Mapping files: how a shop's export becomes events.")


@mapping.callback()
def _mapping() -> None:
    """Mapping files: how a shop's export becomes events."""


def import_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Files, globs or folders of CSV, Parquet or JSON lines.")
    ],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="How their columns become events (YAML).")],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME=PATH", help="Where a table of the mapping is, if not beside it."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Imports a shop's export. The same import twice changes nothing; a corrected export replaces by key."""
    from rich.console import Console
    from rich.markup import escape

    from features.brand import load_brand
    from features.importing.mapping_file import doubtful_events, load_mapping
    from features.importing.run import Import, run_import

    found = find_workspace(workspace)
    brand = load_brand(found)
    mapped = load_mapping(mapping, brand)
    asked = Import(found, brand, mapped, tuple(files), tuple(_table(one) for one in table or ()))
    errors = Console(stderr=True)

    def warn(warnings: Iterable[str]) -> None:
        for one in warnings:
            errors.print(f"[yellow]Warning:[/yellow] {escape(f'{mapping}: {one}')}", highlight=False, soft_wrap=True)

    warn(doubtful_events(mapped, brand))
    with _shown(errors) as progress:
        report = run_import(asked, progress=progress)
    warn(report.warnings)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        _print(Console(), report)
    if report.n_used == 0 and report.n_quarantined:
        rows = "the one row" if report.n_quarantined == 1 else f"all {report.n_quarantined:,} rows"
        raise CallersMistake(
            f"Asked to import {', '.join(files)}, but nothing became an event: {rows} that the mapping takes are in "
            f"quarantine ({', '.join(report.quarantined)}). Mend the mapping or the file, then import again."
        )


@mapping.command()
def suggest(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="A file of the kind to be imported, or several.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the draft there instead of printing it.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Drafts a mapping from column names and contents; read it before you import with it."""
    from features.brand import load_brand
    from features.importing.suggest import suggest_mapping

    brand = load_brand(find_workspace(workspace))
    draft = suggest_mapping(files, brand)
    if out is None:
        typer.echo(draft, nl=False)
        return
    if out.exists():
        raise CallersMistake(f"Asked to write the draft to '{out}', but it exists. Name another file, or remove it.")
    out.write_text(draft, encoding="utf-8")
    typer.echo(f"Wrote {out}: read it, then 'rapport import {' '.join(files)} --mapping {out}'.")


def _table(given: str) -> tuple[str, Path]:
    name, equals, path = given.partition("=")
    if not equals or not name or not path:
        raise CallersMistake(f"Asked for --table {given}, which is not NAME=PATH. Write it like products=products.csv.")
    return name, Path(path)


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on a terminal's error output while an import runs."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from features.importing.run import STEPS

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=len(STEPS))

        def progress(step: str, share: float) -> None:
            bar.update(task, description=step, completed=STEPS.index(step) + share)

        yield progress


def _print(console: Console, report: ImportReport) -> None:
    from rich.table import Table

    rows = Table(title="Rows", title_justify="left", show_footer=False)
    rows.add_column("what became of them")
    rows.add_column("rows", justify="right")
    rows.add_row("became events", f"{report.n_used:,}")
    rows.add_row("left out by the mapping's conditions", f"{report.n_left_out:,}")
    for reason, n_rows in report.quarantined.items():
        rows.add_row(f"quarantined: {reason}", f"{n_rows:,}", style="yellow")
    rows.add_section()
    rows.add_row(
        "read" if report.n_rows == report.n_read else f"made by the query of {report.n_read:,} read",
        f"{report.n_rows:,}",
    )
    events = Table(title="Events", title_justify="left")
    events.add_column("event")
    events.add_column("events", justify="right")
    for event, n_events in report.events.items():
        events.add_row(event, f"{n_events:,}")
    events.add_section()
    events.add_row("new", f"{report.n_new:,}")
    events.add_row("known already, unchanged", f"{report.n_unchanged:,}")
    events.add_row("corrected (the version before is kept with its time)", f"{report.n_corrected:,}")
    if report.n_repeated:
        events.add_row("left out: their key came again later in this import", f"{report.n_repeated:,}", style="yellow")
    show = console.print
    show(rows)
    show(events)
    show(f"{report.n_customers:,} customers.")
    if report.quarantine_file is not None:
        show(f"Quarantined rows, each with its reason and as it was: {report.quarantine_file}")
    if "invalid_encoding" in report.quarantined:
        show(
            "Some lines are not in the encoding that the mapping says (else UTF-8). Excel on Windows writes "
            "windows-1252: say 'read: {encoding: windows-1252}' in the mapping, or save the file as UTF-8.",
            soft_wrap=True,
        )
