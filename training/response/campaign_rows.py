"""A past campaign as response rows: features of just before each message, and the outcome that was named."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, InvalidFile
from training.dataset import WorkspaceSource
from training.labels import EPOCH
from training.response.actions import NOTHING, NOTHING_ID, ActionFeatures, features_of
from training.response.campaign_log import CampaignLog
from training.response.campaigns import Campaign, Messages
from training.response.known_before import DAY_US, MOST_SNAPSHOTS, known_before
from training.response.rows import ResponseRows

if TYPE_CHECKING:
    from features.catalogue import Action

MOST_INSTANTS = 12  # of sends for which features are made as of the very instant


@dataclass(frozen=True, slots=True)
class CampaignRows:
    """A campaign ready to be learned from.

    Attributes:
        rows: one a message, controls included.
        outcome: that the reward is.
        window_days: over which it was counted.
        n_open: messages left out because their window had not closed.
    """

    campaign: Campaign
    outcome: str
    window_days: float
    rows: ResponseRows
    n_open: int


def campaign_rows(
    source: WorkspaceSource, *, campaign: str, outcome: str, window_days: float | None = None
) -> CampaignRows:
    """The rows of one campaign, by rising time, then customer.

    Args:
        source: of features; what it does not know yet is not read.
        campaign: its name.
        outcome: that was measured; or `ordered`, `revenue`, of orders within the window.
        window_days: over which orders count; None for what the campaign's outcomes say.

    Raises:
        CallersMistake: there is no such campaign or outcome (with those that there are), or no window has closed.
    """
    log = CampaignLog(source.workspace, source.brand, known_until=source.known_until)
    known = log.campaign(campaign)
    messages = log.messages(known)
    measured = log.measured(known, messages, outcome=outcome, window_days=window_days)
    days = measured.window_days
    closed = messages.at_us + int(days * DAY_US) <= _us(source.known_until)
    closed |= measured.is_complete
    if not closed.any():
        last = EPOCH + timedelta(microseconds=int(messages.at_us.min()), days=days)
        raise CallersMistake(
            f"Asked for '{outcome}' of campaign '{campaign}', whose first window of {days:g} days closes on "
            f"{last:%Y-%m-%d}; events are known until {source.known_until:%Y-%m-%d}. Come back then, or name a shorter "
            "window with --window-days."
        )
    n_open = int((~closed).sum())
    messages, reward = _kept(messages, closed), measured.value[closed]
    propensity, is_inferred = _propensities(messages)
    actions, place = _actions(source, messages)
    rows = ResponseRows(
        X=known_before(source, messages.customer_keys, instants_of(messages.at_us))[0],
        action=place,
        reward=reward,
        propensity=propensity,
        cluster=messages.persons,
        at=messages.at_us.astype("datetime64[us]"),
        actions=actions,
        is_inferred=is_inferred,
        left_out={"their window had not closed": n_open} if n_open else {},
    )
    return CampaignRows(known, outcome, days, rows, n_open)


def instants_of(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each message the instant as of which its features are: never later than itself, shape `(n,)`.

    Sent at a few instants: the instant itself. Sent over time: the first instant of its day's, week's or four weeks'
    sends, the finest that needs no more than MOST_SNAPSHOTS of them.
    """
    distinct = np.unique(at_us)
    if len(distinct) <= MOST_INSTANTS:
        return at_us
    for days in (1, 7, 28):
        starts = _starts(distinct, days * DAY_US)
        if len(starts) <= MOST_SNAPSHOTS:
            break
    return starts[np.searchsorted(starts, at_us, side="right") - 1]


def _starts(distinct: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """The first instant of each stretch: a stretch begins where the one before it is `reach` old."""
    starts = [int(distinct[0])]
    while True:
        following = int(np.searchsorted(distinct, starts[-1] + reach))
        if following == len(distinct):
            return np.array(starts, dtype=np.int64)
        starts.append(int(distinct[following]))


def _propensities(messages: Messages) -> tuple[NDArray[np.float64], bool]:
    """As declared; where any is missing, all are the actions' shares, and inferred."""
    declared = messages.propensity
    if np.isfinite(declared).all() and bool((declared > 0).all()):
        return declared, False
    _, place, count = np.unique(messages.action_ids.astype(str), return_inverse=True, return_counts=True)
    return (count / len(messages))[place], True


def _actions(source: WorkspaceSource, messages: Messages) -> tuple[tuple[ActionFeatures, ...], NDArray[np.intp]]:
    """The actions that were sent, `nothing` first, as the catalogue knows them, and which of them each message was."""
    from features.catalogue import load_catalogue

    ids = messages.action_ids.astype(str)
    names = sorted(set(ids.tolist()), key=lambda name: (name != NOTHING_ID, name))
    catalogue: dict[str, Action] = {}
    with contextlib.suppress(InvalidFile):  # a past campaign can be judged beside a catalogue that is being written
        catalogue = {action.id: action for action in load_catalogue(source.workspace, source.brand).actions}

    def features(name: str) -> ActionFeatures:
        if name == NOTHING_ID:
            return NOTHING
        channels: Sequence[str] = np.unique(messages.channels[ids == name].astype(str)).tolist()
        channel = channels[0] if len(channels) == 1 else ""
        return (
            features_of(catalogue[name], channel=channel)
            if name in catalogue
            else ActionFeatures(name, channel=channel)
        )

    place = {name: i for i, name in enumerate(names)}
    return tuple(features(name) for name in names), np.array([place[name] for name in ids.tolist()], dtype=np.intp)


def _kept(messages: Messages, which: NDArray[np.bool_]) -> Messages:
    return Messages(
        messages.customer_keys[which],
        messages.persons[which],
        messages.at_us[which],
        messages.action_ids[which],
        messages.propensity[which],
        messages.channels[which],
    )


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
