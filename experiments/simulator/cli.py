"""The verb `simulate`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Option(help="The folder to write the export into.")],
    customers: Annotated[int, typer.Option(help="How many customers, 1 to 5,000,000.")] = 5_000,
    days: Annotated[int, typer.Option(help="Length of the history, 30 to 3650; the default is 18 months.")] = 548,
    seed: Annotated[int, typer.Option(help="The same seed and end give the same rows.")] = 7,
    end: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The history ends before this day, UTC; default today."),
    ] = None,
) -> None:
    """Writes the past of a simulated brand, like a shop's export: Parquet, its mapping, and (apart) the truth."""
    from rich.console import Console
    from rich.progress import Progress

    from experiments.simulator.export import simulate_history

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Simulating", total=customers)
        export = simulate_history(
            out,
            customers=customers,
            days=days,
            seed=seed,
            end=end.date() if end is not None else None,
            progress=lambda done: progress.advance(task, done),
        )
    typer.echo(f"Simulated {customers:,} customers from {export.first} until {export.end}: {export.n_events:,} rows.")
    typer.echo(f"Import them: rapport import {export.events} --mapping {export.mapping}")


if __name__ == "__main__":
    typer.run(simulate)
