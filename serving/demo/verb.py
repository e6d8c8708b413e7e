"""The verb `demo`: every room's verb in turn, then four simulated weeks that prove what the decisions earned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WEEKS = 4


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo lives; made anew each time.")] = Path("demo"),
    customers: Annotated[int, typer.Option(min=500, help="How many simulated customers.")] = 4_000,
    days: Annotated[int, typer.Option(min=200, help="Length of the simulated history.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed is another brand history.")] = 7,
    port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 3000,
    once: Annotated[bool, typer.Option("--once", help="Stop after printing instead of serving on.")] = False,
) -> None:
    """Simulates a brand, imports, trains, serves, talks in three languages, and proves what it earned."""
    from serving.demo.stage import Stage, refuse_taken_port
    from serving.demo.talk import converse, show_decisions
    from serving.demo.weeks import play_weeks, show_proof

    refuse_taken_port(port)
    stage = Stage.set_up(folder, seed=seed)
    stage.make_history(customers=customers, days=days)
    stage.learn()
    with stage.serving(port=port) as server:
        world = play_weeks(stage, n_weeks=WEEKS)
        url = server.wait_until_ready()
        stage.say(f"\n[bold]Serving on {url}[/bold]")
        show_decisions(stage, url)
        for locale in ("en-IN", "hi-IN", "th-TH"):
            converse(stage, url, locale=locale)
        show_proof(stage, world, n_weeks=WEEKS)
        stage.say(f"\nThe marketer's page: {url}/report   What the API offers: {url}/")
        stage.say(
            f"All of it lives in {stage.workspace.root} (rapport --help; RAPPORT_WORKSPACE={stage.workspace.root})."
        )
        if not once:
            stage.wait_for_interrupt()
