"""Simulated weeks through the served decision code, and what they earned beside the simulator's truth.

Each week everybody gets a decision on the brand's weekly message, by the same engine as over HTTP with the world's
clock; the simulated customers respond; their outcomes are reported, their events imported, their features built anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.analysis import HoldoutAnalysis, analyse_workspace
from experiments.metrics import Estimate
from experiments.simulator.playing import Exposure
from experiments.simulator.world import World
from features.database import connect
from features.online import OnlineFeatures
from features.packing import CustomerState
from serving.decide import Decision
from serving.demo.stage import Stage
from serving.engine import Engine
from serving.schemas import DecisionRequest, OutcomeReport

PLACEMENT = "weekly_message"
SENT_AT = timedelta(hours=5)  # of each week's first day, UTC: mid-morning in India
_CHAT = {"hi": "whatsapp", "th": "line"}


def play_weeks(stage: Stage, *, n_weeks: int) -> World:
    """Plays the weeks that lie between the history's end and today; returns the world that they led to."""
    world = World.load(stage.export)
    for week in range(1, n_weeks + 1):
        with stage.step(f"Simulated week {week} of {n_weeks}, from {world.now:%Y-%m-%d}"):
            events, n_decided, n_said = _play_week(stage, world, week=week)
            stage.say(f"{n_decided:,} decisions, {n_said:,} messages sent, {len(events):,} events of the week")
            with stage.aside():
                _import(stage, events, name=f"week-{week}")
                stage.refresh(f"{world.now:%Y-%m-%d}")
    return world


def _play_week(stage: Stage, world: World, *, week: int) -> tuple[pa.Table, int, int]:
    start = world.now
    clock = _Clock(start + SENT_AT)
    draws = np.random.default_rng([stage.seed, week])
    with Engine(stage.workspace, clock=clock.now, draw=draws.random) as engine:
        requests = _questions(stage)
        decisions = engine.decide_many(requests)
        exposures = [_exposure(request, decision) for request, decision in zip(requests, decisions, strict=True)]
        played = world.simulate_week(start, exposures, seed=week)
        clock.at = world.now
        reports = _reports(played.outcomes, decisions) + _reports_of_orders(played.late_orders)
        for first in range(0, len(reports), 1_000):
            engine.record_outcomes(reports[first : first + 1_000])
    n_said = sum(exposure.action_id != "nothing" for exposure in exposures)
    return played.events, len(decisions), n_said


class _Clock:
    """What time the simulated world has."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def _questions(stage: Stage) -> list[DecisionRequest]:
    """One question a known customer, as a sender asks: by e-mail where that was agreed to, else in their chat."""
    connection = connect(stage.workspace.database)
    ids = dict(connection.execute("SELECT customer_key, customer_id FROM identity WHERE kind = 'user'").fetchall())
    connection.close()
    online = OnlineFeatures.open(stage.workspace)
    keys = sorted(ids)
    states = online.read_many(keys)
    online.close()
    asked = []
    for key, state in zip(keys, states, strict=True):
        if not isinstance(state, CustomerState):
            continue
        language = (state.locale or "en").split("-")[0]
        channel = "email" if "email" in state.consents else _CHAT.get(language, "whatsapp")
        asked.append(DecisionRequest(customer_id=ids[key], placement=PLACEMENT, channel=channel))
    return asked


def _exposure(request: DecisionRequest, decision: Decision) -> Exposure:
    return Exposure(
        customer_id=str(request.customer_id),  # the shop's own, never a device's
        action_id=decision.action_id,
        at=decision.situation.decided_at,
        channel=decision.channel,
        is_personalised=not decision.is_holdout,
    )


def _reports(outcomes: pa.Table, decisions: Sequence[Decision]) -> list[OutcomeReport]:
    return [
        OutcomeReport(
            decision_id=decisions[row["exposure"]].situation.decision_id,
            outcome=row["outcome"],
            goal="order" if row["outcome"] == "converted" else None,
            value=row["value"],
            occurred_at=row["at"],
        )
        for row in outcomes.to_pylist()
    ]


def _reports_of_orders(orders: pa.Table) -> list[OutcomeReport]:
    """Orders that came before this week's decision: the shop knows the customer, not the decision."""
    return [
        OutcomeReport(
            customer_id=row["customer_id"], outcome="converted", goal="order", value=row["value"], occurred_at=row["at"]
        )
        for row in orders.to_pylist()
    ]


def _import(stage: Stage, events: pa.Table, *, name: str) -> None:
    path = stage.folder / "weeks" / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(events, path)
    stage.run("import", str(path), "--mapping", str(stage.export / "mapping.yaml"))


def show_proof(stage: Stage, world: World, *, n_weeks: int) -> None:
    """The measured uplift with its interval, beside the true one."""
    window_days = n_weeks * 7 - 1  # every first decision's window has closed when the last week ends
    analysis = analyse_workspace(stage.workspace, window_days=window_days, placement=PLACEMENT)
    truth = world.true_uplift(window_days=window_days)
    stage.say(
        f"\n[bold]What {n_weeks} weeks of personalisation earned: customers with an order in {window_days} days[/bold]"
    )
    for name, arm in (("personalised", analysis.personalised), ("held out", analysis.holdout)):
        stage.say(f"  {name:<14} {arm.n_converted:>6,} of {arm.n_closed:>6,}  {arm.rate:7.2%}")
    stage.say(f"  [green]measured uplift {_points(analysis)}[/green]")
    stage.say(
        f"  [green]true uplift     {100 * truth.absolute_uplift:+.2f} percentage points[/green] "
        f"(the simulator's own, {truth.baseline_order_rate:.2%} to {truth.order_rate:.2%}; no other part can read it)"
    )
    again = f"rapport experiment analyse holdout --placement {PLACEMENT} --window-days {window_days}"
    stage.say(f"  [dim]repeat it: {again}[/dim]")


def _points(analysis: HoldoutAnalysis) -> str:
    uplift = analysis.conversion.absolute
    if not isinstance(uplift, Estimate):
        return f"not estimable: {uplift.reason}"
    return (
        f"{100 * uplift.value:+.2f} percentage points, 95% interval {100 * uplift.low:+.2f} … {100 * uplift.high:+.2f}"
    )
