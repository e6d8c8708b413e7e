"""Customers grouped at an instant, by segment and by what stands beside it, with what they did in the window after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from features.owners import persons
from training.artifact import SegmentsModel
from training.groups import stages_of
from training.order_days import OrderDays, day_of, read_order_days
from training.segment_matter import Difference, Floats, Names, Response, Window, differences, response_by_segment
from training.segment_rfm import rfm_of

if TYPE_CHECKING:
    from training.dataset import WorkspaceSource
    from training.response.rows import ResponseRows

MOST_CAMPAIGNS = 3


def differences_of(
    source: WorkspaceSource, model: SegmentsModel, *, at: datetime, horizon_days: int
) -> tuple[list[Difference], str | None]:
    """Whether segments, stage and RFM differ in orders and spend in `[at, at + horizon)`, which taught none of it.

    Args:
        source: knows the window.
        model: whose segments they are; its groups may know nothing of the window.
        at: when the window begins: the brand's midnight (`midnight_by`), for the window is of the brand's days.
        horizon_days: its length, and that of the one before it, which teaches.

    Returns:
        The differences, or none and why.
    """
    before = at - timedelta(days=horizon_days)
    if before <= source.first:
        return [], (
            f"whether segments matter within {horizon_days} days is not known: that needs a window to learn from "
            f"before {at:%Y-%m-%d}, and orders begin on {source.first:%Y-%m-%d}"
        )
    orders, joined = read_order_days(source.workspace), persons(source.workspace)
    windows = [
        _window(source, model, orders, joined, at=instant, horizon_days=horizon_days) for instant in (before, at)
    ]
    return differences(*windows), None


def midnight_by(instant: datetime, *, time_zone: str) -> datetime:
    """The last midnight of a time zone at or before an instant."""
    zone = ZoneInfo(time_zone)
    return datetime.combine(instant.astimezone(zone).date(), time(), tzinfo=zone)


def followed(
    orders: OrderDays, joined: Mapping[int, int], keys: NDArray[np.int64], *, day: int, horizon_days: int
) -> tuple[Floats, Floats]:
    """Order-days and spend in `[day, day + horizon)` behind each key, the whole person's; each of shape `(n,)`.

    Args:
        orders: under the survivors' keys.
        joined: every key that was joined into another customer, and the survivor's.
        keys: of a snapshot, which may be from before a join was known.
        day: on which the window begins.
        horizon_days: its length.
    """
    whose = np.array([joined.get(key, key) for key in keys.tolist()], dtype=np.int64)
    asked, place = np.unique(whose, return_inverse=True)
    n_days, spend = orders.within(asked, day=day, horizon_days=horizon_days)
    return n_days[place], spend[place]


def _window(
    source: WorkspaceSource,
    model: SegmentsModel,
    orders: OrderDays,
    joined: Mapping[int, int],
    *,
    at: datetime,
    horizon_days: int,
) -> Window:
    snapshot = source.snapshot(at)
    groups: dict[str, Names] = {
        "segment": np.array(model.assign(snapshot.X), dtype=object),
        "stage": stages_of(source, at),
    }
    fifths = model.description.get("rfm")
    if fifths:
        groups["rfm"] = rfm_of(snapshot.X, inputs=source.inputs, fifths=fifths)
    day = day_of(at, time_zone=source.brand.time_zone)
    n_days, spend = followed(orders, joined, snapshot.customer_keys, day=day, horizon_days=horizon_days)
    return Window(groups, (n_days > 0).astype(np.float64), spend)


def responses_of(source: WorkspaceSource, model: SegmentsModel, *, since: datetime) -> tuple[list[Response], list[str]]:
    """Whether segments respond differently to our own decisions and to each past campaign that had a control.

    Args:
        source: knows the decisions and campaigns.
        model: whose segments they are.
        since: only decisions and messages from then on: what came before may have shaped the segments.

    Returns:
        The responses, and why there is none of something.
    """
    found: list[Response] = []
    reasons: list[str] = []
    for of, every in _taught(source, reasons, since=since):
        rows = rows_since(every, since)
        if not len(rows):
            reasons.append(f"{of}: nothing of it was from {since:%Y-%m-%d} on, so it does not judge these segments")
            continue
        segments = np.array(model.assign(rows.X), dtype=object)
        found.append(
            response_by_segment(
                segments,
                treated=rows.action != 0,
                reward=rows.reward,
                propensity=rows.propensity,
                cluster=rows.cluster,
                of=of,
                is_inferred=rows.is_inferred,
            )
        )
    if not found and not reasons:
        reasons.append("response is not known: no decision was made here, and no campaign with a control was imported")
    return found, reasons


def rows_since(rows: ResponseRows, since: datetime) -> ResponseRows:
    """The decisions made at an instant or later."""
    return rows.taken(rows.at >= np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "us"))


def _taught(source: WorkspaceSource, reasons: list[str], *, since: datetime) -> Iterator[tuple[str, ResponseRows]]:
    """The rows of the ledger, then of the largest campaigns whose controls got nothing."""
    from training.response.actions import NOTHING_ID
    from training.response.campaign_log import CampaignLog
    from training.response.campaign_rows import campaign_rows
    from training.response.ledger_rows import ledger_rows

    with contextlib.suppress(CallersMistake):  # none were made, or none whose window has closed
        yield "our own decisions", ledger_rows(source)
    log = CampaignLog(source.workspace, source.brand, known_until=source.known_until)
    known = [one for one in log.campaigns().values() if NOTHING_ID in one.actions and len(one.actions) > 1]
    later = [one for one in known if one.last_at >= since]
    if known and not later:
        reasons.append(f"no campaign with a control was sent from {since:%Y-%m-%d} on, so none judges these segments")
    for campaign in sorted(later, key=lambda one: -sum(one.actions.values()))[:MOST_CAMPAIGNS]:
        try:
            yield f"campaign {campaign.name}", campaign_rows(source, campaign=campaign.name, outcome="revenue").rows
        except CallersMistake as mistake:
            reasons.append(f"campaign {campaign.name}: {mistake}")
