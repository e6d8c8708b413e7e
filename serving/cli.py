"""The verbs of serving: serve, decide."""

from __future__ import annotations

from typing import Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption


def serve(
    workspace: WorkspaceOption = None,
    host: Annotated[str | None, typer.Option(help="Default 127.0.0.1: this machine only.")] = None,
    port: Annotated[int | None, typer.Option(help="Default 3000.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default 2.")] = None,
    keys: Annotated[
        str | None, typer.Option(help="'required' asks this machine for a key too; default 'auto': only others.")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(help="Stand at this instant (UTC where it names no zone) and go on from there.")
    ] = None,
) -> None:
    """Serves decisions over HTTP until Ctrl-C or SIGTERM."""
    import os

    from features.versions import read_checked
    from serving.launching import command, environment, has_keys, require_free
    from serving.settings import read_settings

    settings = read_settings(workspace=workspace, host=host, port=port, workers=workers, keys=keys, clock=clock)
    found = find_workspace(settings.workspace)
    read_checked(found)  # a fault is told here; a worker that starts again by itself goes on with what was in use
    require_free(settings.host, settings.port)
    if settings.needs_keys and not has_keys(found):
        typer.echo(
            "There are no API keys yet: every request is refused until 'rapport keys create' made one.", err=True
        )
    arguments = command(settings)
    # Replaces this process, so that a signal reaches the server itself.
    os.execve(arguments[0], arguments, environment(settings, found, os.environ))


def decide(
    customer: Annotated[str, typer.Argument(help="Your own id of the customer; an unknown one is welcome.")],
    placement: Annotated[str, typer.Option(help="A placement of brand.yaml.")],
    channel: Annotated[str | None, typer.Option(help="One of the placement's channels.")] = None,
    channels: Annotated[
        str | None, typer.Option(help="Or several, with commas between them: each action competes on each of them.")
    ] = None,
    limit: Annotated[int, typer.Option(help="So many actions at most, ranked.")] = 1,
    workspace: WorkspaceOption = None,
    locale: Annotated[
        str | None, typer.Option(help="BCP 47, such as hi-IN; default the customer's, else the brand's.")
    ] = None,
    trait: Annotated[
        list[str] | None, typer.Option(help="What you know right now, as name=value; may be repeated.")
    ] = None,
    intent: Annotated[str | None, typer.Option(help="What the customer wants, as your bot understood it.")] = None,
    session_open: Annotated[bool, typer.Option(help="A chat session is open: free-form messages are allowed.")] = False,
    clock: Annotated[
        str | None, typer.Option(help="Decide as of this instant instead of now; UTC where it names no zone.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="Show also the body to post: whatsapp, line, email, neutral; or channel, the channel's own."),
    ] = None,
    explain: Annotated[
        bool, typer.Option(help="Say also what each value is made of and why others stay away.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be decided: nothing is written, counted or taken.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, as the API answers.")] = False,
) -> None:
    """Decides for one customer without a server, writes it to the ledger (but for a dry run), and shows it."""
    from serving.asking import ask, print_answer
    from serving.settings import read_settings
    from serving.unavailable import Unavailable

    question = {
        "customer_id": customer,
        "placement": placement,
        "channel": channel,
        "channels": None if channels is None else [name.strip() for name in channels.split(",")],
        "limit": limit,
        "dry_run": dry_run,
        "locale": locale,
        "context": {"intent": intent, "session_open": session_open},
        "explain": explain,
        "format": format,
    }
    try:
        told = ask(find_workspace(workspace), question, traits=trait or [], at=read_settings(clock=clock).clock)
    except Unavailable as trouble:
        typer.secho(f"Nothing was decided: {trouble}. Try again.", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    if as_json:
        import json

        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print_answer(told)
