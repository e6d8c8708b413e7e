"""The verb `keys`: create, list, revoke."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.faults import CallersMistake
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from serving.keys.table import ApiKey, KeyTable

JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The middle part of the key, as 'list' shows it.")]

keys = group_of_verbs("API keys of the server: create, replace, list, revoke.")


@keys.command("create")
def create_key(
    name: Annotated[str | None, typer.Argument(help="Who uses it, such as 'website'.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="Of ingest, decide, read, admin; several joined by commas.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second; default 1000.")] = None,
    replaces: Annotated[
        str | None, typer.Option(metavar="ID", help="Take name, scopes and rate of this key, which then runs out.")
    ] = None,
    grace_hours: Annotated[
        float, typer.Option(min=0, help="How long the replaced key works on, so that nobody is cut off.")
    ] = 24.0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Makes a key and prints it, this once; only its hash is kept."""
    place = find_workspace(workspace)
    _refuse_mixed(name, scopes, rate, replaces=replaces)
    from serving.keys.scopes import read_scopes
    from serving.keys.table import DEFAULT_RATE

    now = datetime.now(UTC)
    with _table(place.database) as table:
        if replaces is not None:
            made = table.replace(replaces, at=now, grace=timedelta(hours=grace_hours))
        else:
            made = table.create(
                name or "",
                read_scopes(scopes or ""),
                at=now,
                requests_per_second=DEFAULT_RATE if rate is None else rate,
            )
        (key,) = (key for key in table.all() if key.key_id == made.key_id)
    if as_json:
        typer.echo(json.dumps(_as_dict(key, at=now) | {"key": made.token}, ensure_ascii=False, indent=1))
        return
    typer.echo(made.token)
    may = ", ".join(sorted(key.scopes))
    typer.echo(f"Key {key.key_id} of '{key.name}' may {may}. It is shown only now; keep it where secrets go.", err=True)
    if replaces is not None:
        typer.echo(f"Key {replaces} works for {grace_hours:g} hours more.", err=True)


@keys.command("list")
def list_keys(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Lists every key: who uses it, for what, since when, when last, and whether it still opens anything."""
    place = find_workspace(workspace)
    now = datetime.now(UTC)
    with _table(place.database) as table:
        found = table.all()
    rows = [_as_dict(key, at=now) for key in found]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    if not rows:
        typer.echo("There are no keys. Make one: rapport keys create website --scopes ingest,decide")
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table("id", "name", "scopes", "a second", "created", "last used", "state", box=None, pad_edge=False)
    for key in found:
        shown.add_row(
            key.key_id,
            key.name,
            ",".join(sorted(key.scopes)),
            f"{key.requests_per_second:g}",
            f"{key.created_at:%Y-%m-%d}",
            f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
            _state(key, at=now),
        )
    Console(soft_wrap=True).print(shown)


@keys.command("revoke")
def revoke_key(key_id: IdArgument, workspace: WorkspaceOption = None) -> None:
    """Takes a key back for good; every running server refuses it within a second."""
    place = find_workspace(workspace)
    with _table(place.database) as table:
        key = table.revoke(key_id, at=datetime.now(UTC))
    typer.echo(f"Key {key.key_id} of '{key.name}' is revoked.")


@contextmanager
def _table(database: Path) -> Iterator[KeyTable]:
    from features.database import connect
    from serving.keys.table import KeyTable

    connection = connect(database)
    try:
        yield KeyTable(connection)
    finally:
        connection.close()


def _refuse_mixed(name: str | None, scopes: str | None, rate: float | None, *, replaces: str | None) -> None:
    """A key is either made anew or takes another's place."""
    if replaces is not None:
        if (name, scopes, rate) != (None, None, None):
            raise CallersMistake(
                f"Asked for a key that replaces '{replaces}' and is another as well. The new key takes name, scopes "
                "and rate of the old one; leave them out, or make a new key without --replaces."
            )
    elif name is None or scopes is None:
        raise CallersMistake(
            "Asked for a key without saying who uses it and for what. Give a name and --scopes, such as: "
            "rapport keys create website --scopes ingest,decide"
        )


def _state(key: ApiKey, *, at: datetime) -> str:
    state = key.state(at)
    if state == "active" and key.expires_at is not None:
        return f"replaced, until {key.expires_at:%Y-%m-%d %H:%M}"
    return state


def _as_dict(key: ApiKey, *, at: datetime) -> dict[str, object]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "requests_per_second": key.requests_per_second,
        "state": key.state(at),
        "replaces": key.replaces,
    } | {
        name: instant.isoformat() if instant else None
        for name, instant in (
            ("created_at", key.created_at),
            ("expires_at", key.expires_at),
            ("revoked_at", key.revoked_at),
            ("last_used_at", key.last_used_at),
        )
    }
