"""A campaign of two waves whose windows overlap: each message has its own outcome, features and orders."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from training.dataset import WorkspaceSource
from training.response.campaign_log import CampaignLog
from training.response.campaign_rows import CampaignRows, campaign_rows

MAPPING = """
types: {value: number, p: number}
customer: customer_id
time: at
events:
  - {event: Message Sent, where: kind = 'sent', key: [customer_id, at], campaign: {value: waves}, action_id: what,
     action_probability: p}
  - {event: Outcome Measured, where: kind = 'clicks', key: [customer_id, at, kind], campaign: {value: waves},
     outcome: {value: clicks}, value: value, window_days: 7}
  - {event: Order Completed, where: kind = 'order', key: [customer_id, at, kind], total: value}
"""
FIRST, SECOND = pd.Timestamp("2024-03-01T09:00:00Z"), pd.Timestamp("2024-03-05T09:00:00Z")
N = 40


def events() -> pd.DataFrame:
    """Customer i clicks i times after the first wave, 100 + i after the second, and orders for 10 a day after each."""
    rows = []
    for i in range(N):
        for wave, base in ((FIRST, 0), (SECOND, 100)):
            of = {"customer_id": f"c{i}", "p": 0.25 if i % 4 == 0 else 0.75}
            rows.append(of | {"kind": "sent", "at": wave, "what": "mail" if i % 4 == 0 else "nothing"})
            rows.append(of | {"kind": "clicks", "at": wave + timedelta(days=7), "value": base + i})
            rows.append(of | {"kind": "order", "at": wave + timedelta(days=1), "value": 10.0})
    frame = pd.DataFrame(rows)
    return frame.assign(at=frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> WorkspaceSource:
    folder = tmp_path_factory.mktemp("waves")
    events().to_csv(folder / "waves.csv", index=False)
    (folder / "waves.yaml").write_text(MAPPING, "utf-8")
    run_verb("init", str(folder / "shop"))
    by = ("--mapping", str(folder / "waves.yaml"), "--workspace", str(folder / "shop"))
    run_verb("import", str(folder / "waves.csv"), *by)
    return WorkspaceSource(Workspace(folder / "shop"))


@pytest.fixture(scope="module")
def clicks(source: WorkspaceSource) -> CampaignRows:
    return campaign_rows(source, campaign="waves", outcome="clicks")


def test_an_outcome_belongs_to_the_message_whose_window_closed_then(clicks: CampaignRows) -> None:
    second = clicks.rows.at == clicks.rows.at.max()
    assert sorted(clicks.rows.reward[~second]) == list(range(N))
    assert sorted(clicks.rows.reward[second]) == [100 + i for i in range(N)]
    assert clicks.window_days == 7.0


def test_each_message_has_the_probability_that_it_declares(clicks: CampaignRows) -> None:
    assert [action.action_id for action in clicks.rows.actions] == ["nothing", "mail"]
    assert not clicks.rows.is_inferred
    assert (clicks.rows.propensity == np.where(clicks.rows.action == 1, 0.25, 0.75)).all()


def test_features_are_of_before_each_message(source: WorkspaceSource, clicks: CampaignRows) -> None:
    orders = clicks.rows.X[:, source.inputs.index("n_orders")]
    second = clicks.rows.at == clicks.rows.at.max()
    assert np.isnan(orders[~second]).all() or (orders[~second] == 0).all()
    assert (orders[second] == 1).all()  # the order of the second day, not those after the second message


def test_orders_within_the_window_need_no_measuring(source: WorkspaceSource) -> None:
    revenue = campaign_rows(source, campaign="waves", outcome="revenue").rows
    assert (revenue.reward == np.where(revenue.at == revenue.at.max(), 10.0, 20.0)).all()
    ordered = campaign_rows(source, campaign="waves", outcome="ordered", window_days=0.5).rows
    assert (ordered.reward == 0.0).all()


def test_messages_whose_window_is_open_are_left_out_and_counted(source: WorkspaceSource) -> None:
    found = campaign_rows(source, campaign="waves", outcome="revenue", window_days=10)
    assert (len(found.rows), found.n_open) == (N, N)
    with pytest.raises(CallersMistake, match=r"closes on 2024-05-30.*shorter window"):
        campaign_rows(source, campaign="waves", outcome="revenue", window_days=90)


def test_what_is_not_known_yet_is_not_read(source: WorkspaceSource) -> None:
    early = CampaignLog(source.workspace, source.brand, known_until=(SECOND - timedelta(days=1)).to_pydatetime())
    campaign = early.campaign("waves")
    assert sum(campaign.actions.values()) == N
    assert campaign.outcomes == {}
