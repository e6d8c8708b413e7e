"""The verb `segments`: what the segments are called, and calling them something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.faults import CallersMistake, closest_name
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from features.brand import Brand
    from features.workspace import Workspace


segments = group_of_verbs("Segments that are served: list, rename.")


@segments.command("list")
def list_segments(
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Lists every segment of the champion: its id, its share, what it is called and what sets it apart."""
    place = find_workspace(workspace)
    _, found = _champion(place)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for one in found:
        typer.echo(f"{one['id']}  {one['share']:.1%}")
        for locale, name in one["names"].items():
            typer.echo(f"  {locale}: {name}{'  (yours)' if locale in one['renamed'] else ''}")
            typer.echo(f"    {one['descriptions'].get(locale, '')}")


@segments.command()
def rename(
    segment: Annotated[str, typer.Argument(help="Its id, such as s1.")],
    name: Annotated[str, typer.Argument(help="What to call it.")],
    locale: Annotated[str | None, typer.Option(help="In which locale; default the brand's.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Calls a segment something else, from now on and in every later version; a running server follows in seconds."""
    place = find_workspace(workspace)
    from features.segment_names import rename_segment

    brand, found = _champion(place)
    where = _locale(brand, locale)
    ids = [one["id"] for one in found]
    if segment not in ids:
        near = closest_name(segment, ids)
        raise CallersMistake(
            f"Asked to rename segment '{segment}', but the champion has {', '.join(ids)}."
            + (f" Closest: '{near}'." if near else "")
        )
    others = [one["names"].get(where, "") for one in found if one["id"] != segment]
    path = rename_segment(place.root, segment, name, locale=where, others=others)
    typer.echo(f"{segment} is called '{name.strip()}' in {where} from now on ({path}).")


def _locale(brand: Brand, asked: str | None) -> str:
    if asked is None:
        return brand.default_locale
    if asked not in brand.locales:
        near = closest_name(asked, brand.locales)
        raise CallersMistake(
            f"Asked for a name in locale '{asked}', but the brand speaks {', '.join(brand.locales)}."
            + (f" Closest: '{near}'." if near else "")
        )
    return asked


def _champion(place: Workspace) -> tuple[Brand, list[dict[str, Any]]]:
    """The brand, and the champion's segments under the names that are in use."""
    from features.brand import load_brand
    from features.segment_names import read_segment_names, renamed
    from training.artifact import SEGMENTS, read_champions, read_description

    champion = read_champions(place.artifacts).get(SEGMENTS)
    if champion is None:
        raise CallersMistake(
            "Asked for the segments, but no version of them is served. Train with 'rapport train segments'."
        )
    description = read_description(place.artifacts, SEGMENTS, champion["version"], sha256=champion["sha256"])
    edits = read_segment_names(place.root)
    names = renamed({one["id"]: one["names"] for one in description["segments"]}, edits)
    return load_brand(place), [
        {
            "id": one["id"],
            "share": one["share"],
            "names": names[one["id"]],
            "renamed": sorted(edits.get(one["id"], {})),
            "descriptions": one["descriptions"],
        }
        for one in description["segments"]
    ]
