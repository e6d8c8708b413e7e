"""The customers of one segment as CSV, with the shop's own ids, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from pathlib import Path

from experiments.assignment import assign
from experiments.report.scores import ScoresReader, score_days
from features.brand import Brand
from features.faults import CallersMistake, closest_name
from features.workspace import Workspace

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def audience_csv(workspace: Workspace, segment: str) -> str:
    """The audience of a segment on the newest score day, likeliest buyers first.

    Columns: customer_id, id_kind (user | anonymous), segment, segment_name, stage, purchase_propensity_<h>d,
    revenue_365d, n_orders, arm (personalised | holdout), scored_as_of. Whoever sends something to them leaves
    out the held-out ones. Customers without an outside id (erased ones) are not in it.

    Raises:
        CallersMistake: nobody was scored yet, or the newest scores do not have that segment.
    """
    from experiments.report.collect import middle_horizon
    from features.versions import sound_files

    brand = sound_files(workspace)[0].brand
    days = score_days(workspace)
    if not days:
        raise CallersMistake(
            f"Asked for the audience of '{segment}', but no customer has been scored yet. Run 'rapport score' first."
        )
    names = {text["id"]: text.get("names", {}) for text in days[-1].segment_texts()}
    horizon_days = middle_horizon(brand)
    with closing(ScoresReader()) as reader:
        members = reader.members(days[-1], segment=segment, horizon_days=horizon_days)
        if not members and segment not in names:
            known = list(reader.groups(days[-1], by="segment", horizon_days=horizon_days))
            closest = closest_name(segment, known)
            hint = f" Closest: '{closest}'." if closest else ""
            raise CallersMistake(
                f"Asked for the audience of '{segment}', which the scores of {days[-1].day} do not have: "
                f"{', '.join(known)}.{hint}"
            )
    name = names.get(segment, {}).get(brand.default_locale, segment)
    ids = outside_ids(workspace.database)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        [
            "customer_id", "id_kind", "segment", "segment_name", "stage", f"purchase_propensity_{horizon_days}d",
            "revenue_365d", "n_orders", "arm", "scored_as_of",
        ]
    )  # fmt: skip
    for customer_key, stage, propensity, revenue, n_orders, as_of in members:
        if customer_key not in ids:
            continue
        customer_id, kind = ids[customer_key]
        writer.writerow(
            [
                guarded(customer_id),
                kind,
                guarded(segment),
                guarded(name),
                guarded(stage or ""),
                "" if propensity is None else f"{propensity:.4f}",
                "" if revenue is None else f"{revenue:.2f}",
                n_orders,
                _arm(customer_key, brand),
                f"{as_of:%Y-%m-%dT%H:%M:%SZ}",
            ]
        )
    return out.getvalue()


def guarded(cell: str) -> str:
    """The cell with an apostrophe before it where a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def outside_ids(database: Path) -> dict[int, tuple[str, str]]:
    """Each customer's outside id and its kind: the shop's own where there is one, else the newest device's."""
    if not database.is_file():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'identity'").fetchone():
            return {}
        # Later rows win: devices come first, the shop's own first-seen id last, as in IdentityTable.id_of.
        rows = connection.execute(
            "SELECT customer_key, customer_id, kind FROM identity ORDER BY kind = 'user', first_seen_at DESC"
        )
        return {key: (customer_id, kind) for key, customer_id, kind in rows}


def _arm(customer_key: int, brand: Brand) -> str:
    return assign(customer_key, salt=brand.name, holdout_rate=brand.holdout_rate).arm
