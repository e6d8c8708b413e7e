"""The verb `coupons`: codes into a pool, and what is left of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]

coupons = group_of_verbs("Coupon codes, given out one a decision: import, list.")


@coupons.command("import")
def import_codes(
    pool: Annotated[str, typer.Argument(help="The pool, as an action's incentive.coupons in catalogue.yaml names it.")],
    file: Annotated[Path, typer.Argument(help="A text file: one code a line, or a CSV whose first column holds them.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Adds the codes of a file to a pool; a code that is known already is not added again."""
    place = find_workspace(workspace)
    from contextlib import closing

    from features.catalogue_checks import read_catalogue_alone
    from features.coupon_checks import named_pools
    from features.database import connect
    from features.faults import InvalidFile
    from serving.contact.coupons import add_codes, check_pool, read_codes

    catalogue, faults = read_catalogue_alone(place)
    if catalogue is None:
        raise InvalidFile(place.catalogue_file, faults)
    check_pool(pool, named=named_pools(catalogue))
    codes = read_codes(file)
    with closing(connect(place.database)) as connection:
        added = add_codes(connection, pool, codes)
    if as_json:
        typer.echo(json.dumps({"pool": pool, "read": len(codes), "added": added}))
        return
    known = f"; {len(codes) - added:,} were known already" if added < len(codes) else ""
    typer.echo(f"{added:,} codes added to the pool '{pool}'{known}.")


@coupons.command("list")
def list_pools(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Lists every pool: how many codes are free, and how many have been given out or are reserved."""
    place = find_workspace(workspace)
    from contextlib import closing

    from features.database import connect
    from serving.contact.coupons import pools

    with closing(connect(place.database)) as connection:
        found = pools(connection)
    if as_json:
        typer.echo(json.dumps([pool._asdict() for pool in found], ensure_ascii=False, indent=1))
        return
    if not found:
        typer.echo("There are no coupon codes. Add some: rapport coupons import POOL FILE")
        return
    for pool in found:
        typer.echo(f"{pool.name}: {pool.n_free:,} of {pool.n_codes:,} codes are free")
