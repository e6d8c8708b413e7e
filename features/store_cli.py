"""`rapport features`: sync the log, build snapshots, fill the online store, show a customer, check a feature."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.faults import CallersMistake
from features.passed import require_passed
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from features.checks import CheckResult

features = group_of_verbs("What is known of customers: sync, build, materialize, show, check.")

AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Date or instant, UTC where it names no zone. Default: now.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]


@features.command()
def sync(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Brings the event log into the lake: each event once, small files taken in, the log pruned."""
    from rich.console import Console

    from features.sync import sync as export

    found = find_workspace(workspace)
    with Console(stderr=True).status("Exporting the event log …") as status:
        n_read = 0

        def tell(n_rows: int) -> None:
            nonlocal n_read
            n_read += n_rows
            status.update(f"Exporting the event log: {n_read:,} events read …")

        done = export(found, on_rows=tell)
    if as_json:
        typer.echo(json.dumps(done.as_dict()))
        return
    left_out = f"; {done.n_left_out:,} were there already, from an import" if done.n_left_out else ""
    pruned = f" {done.n_pruned:,} rows left the log." if done.n_pruned else ""
    typer.echo(f"{done.n_events:,} events came into the lake, now {done.n_files:,} files{left_out}.{pruned}")


@features.command()
def build(
    as_of: AsOfOption = None,
    history_weeks: Annotated[int, typer.Option(min=1, max=520, help="Weekly snapshots, the last one at --as-of.")] = 1,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="From the snapshot before it: only customers touched since.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Builds the snapshots of everyone as of an instant and of the weeks before it."""
    from rich.console import Console
    from rich.progress import Progress

    from features.snapshots import build_snapshots, weekly

    found = find_workspace(workspace)
    instants = weekly(_instant(as_of), weeks=history_weeks)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Building snapshots", total=len(instants))
        paths = build_snapshots(found, instants, incremental=incremental, on_progress=lambda _: progress.advance(task))
    if as_json:
        rows = [{"as_of": at.isoformat(), "path": str(path)} for at, path in zip(instants, paths, strict=True)]
        typer.echo(json.dumps(rows))
        return
    for at, path in zip(instants, paths, strict=True):
        typer.echo(f"{at:%Y-%m-%d %H:%M}  {path}")


@features.command()
def materialize(as_of: AsOfOption = None, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Fills the online store with everyone's row, then with what has happened since."""
    from features.online import materialize as fill

    found = find_workspace(workspace)
    instant = _instant(as_of)
    n_customers = fill(found, instant)
    if as_json:
        typer.echo(json.dumps({"as_of": instant.isoformat(), "n_customers": n_customers}))
    else:
        typer.echo(f"The online store holds {n_customers:,} customers as of {instant:%Y-%m-%d %H:%M} UTC.")


@features.command()
def show(
    customer: Annotated[str, typer.Argument(help="The shop's own id of the customer.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows what is known of one customer: value, age, source."""
    from features.explain import explain_customer

    explained = explain_customer(find_workspace(workspace), customer)
    if as_json:
        typer.echo(json.dumps(explained.as_dict(), ensure_ascii=False, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=explained.title())
    table.add_column("feature", no_wrap=True)
    for heading in ("value", "unit", "age", "source"):
        table.add_column(heading)
    for row in explained.rows:
        table.add_row(row.name, row.value_text(), row.unit, row.age_text(), row.source)
    Console().print(table)


@features.command()
def check(
    name: Annotated[str, typer.Argument(help="A feature or a view, such as n_orders, recent or one of your own.")],
    as_of: AsOfOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Checks one feature, or all of a view, on the workspace's own data."""
    from features.checks import worst_status
    from features.feature_checks import check_features
    from features.history import open_workspace

    opened = open_workspace(find_workspace(workspace).root)
    results = check_features(opened, name, as_of=_instant(as_of))
    if as_json:
        typer.echo(json.dumps([result.as_dict() for result in results], ensure_ascii=False, indent=2))
    else:
        _print_checks(results)
    if worst_status(results) == "FAIL":
        raise typer.Exit(1)


def _print_checks(results: list[CheckResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "check", "meaning", "detail")
    colours = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
    for result in results:
        colour = colours[result.status]
        table.add_row(f"[{colour}]{result.status}[/{colour}]", result.name, result.meaning, result.detail)
    Console().print(table)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallersMistake(
            f"Asked for --as-of '{text}', which is no instant ({error}). Give an ISO date such as 2024-06-01, or an "
            "instant such as 2024-06-01T12:00:00+05:30."
        ) from error
    instant = instant.astimezone(UTC) if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    require_passed(instant, now=datetime.now(UTC))
    return instant
