"""One engine with moments whose clock a test moves, and events that name only what matters."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from features.event_log import EventLog
from features.identity import IdentityTable
from features.workspace import Workspace
from serving.due_moments import MomentEvaluator, Round
from serving.engine import Engine
from serving.moments import moments_view
from tests.serving.tiny_world import NOON, Clock

START = NOON
BRAND = """
moments:
  abandoned_cart:
    after: {event: add_to_cart}
    wait_hours: 3
    when: "!ordered_since_trigger"
    at_most_every_days: 2
    expires_after_days: 2
    placement: weekly_message
  thanks:
    after: {event: order}
    wait_days: 1
    when: "n_orders >= 1.0 && hours_since_trigger >= 24.0"
    at_most_every_days: 1
    expires_after_days: 1
  quiet_week:
    after: {event: order}
    wait_days: 8
    when: "n_orders_7d == 0.0 && stage == 'conversion'"
  quiz_left:
    after: {event_name: Quiz Left}
    wait_minutes: 30
    when: "skin_need == 'acne'"
    expires_after_hours: 2
"""
_numbers = itertools.count()


class World:
    """One engine with a clock that a test moves, its evaluator, and events that name only what matters."""

    def __init__(self, engine: Engine, clock: Clock, **changes: int) -> None:
        self.engine, self.clock = engine, clock
        self.evaluator = MomentEvaluator(engine, **changes)

    def customer(self) -> int:
        name = f"c-{next(_numbers)}"
        return int(self.engine.ledger.write(lambda connection: IdentityTable(connection).key_or_new(name)))

    def happened(self, key: int, event: str, *, late_by: timedelta = timedelta(0), **columns: object) -> None:
        row = {
            "event_id": f"e-{next(_numbers)}",
            "customer_key": key,
            "event": event,
            "occurred_at": self.clock.now - late_by,
            "received_at": self.clock.now,
        }
        self.engine.ledger.write(lambda connection: EventLog(connection).append([row | columns]))

    def put_in_cart(self, key: int, **changes: Any) -> None:
        self.happened(key, "Product Added", **changes)

    def ordered(self, key: int, **changes: Any) -> None:
        self.happened(key, "Order Completed", order_id=f"o-{next(_numbers)}", total=100.0, **changes)

    def later(self, **span: float) -> Round:
        self.clock.now += timedelta(**span)
        return self.evaluator.look()

    def moments_of(self, *keys: int) -> list[str]:
        rows = self.engine.reader.execute("SELECT customer_key, moment FROM moments ORDER BY moment_seq").fetchall()
        return [moment for key, moment in rows if key in keys]

    def waits_of(self, key: int) -> dict[str, tuple[str, str | None]]:
        rows = self.engine.reader.execute(
            "SELECT moment, status, reason FROM moments_due WHERE customer_key = ?", (key,)
        )
        return {moment: (status, reason) for moment, status, reason in rows}

    def told(self, **asked: Any) -> dict[str, Any]:
        return moments_view(self.engine.workspace, **{"since": 0, "limit": 1000, "moment": None} | asked)


def with_these_moments(workspace: Workspace, moments: str = BRAND) -> Workspace:
    text = workspace.brand_file.read_text("utf-8")
    before, after = text.split("\nmoments:\n")[0], text[text.index("\npolicy: ") :]
    workspace.brand_file.write_text(before + moments + after, "utf-8")
    return workspace
