"""Reads past campaigns from the lake and the event log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake, closest_name
from training.response.actions import NOTHING_ID
from training.response.campaigns import (
    DEFAULT_WINDOW_DAYS,
    FROM_ORDERS,
    MEASURED_OF_ALL,
    ORDERED,
    REVENUE,
    Campaign,
    Measured,
    Messages,
)

if TYPE_CHECKING:
    import duckdb

    from features.brand import Brand
    from features.workspace import Workspace

Floats = NDArray[np.float64]


class CampaignLog:
    """The messages and outcomes of a workspace's campaigns, from its lake and its event log.

    Args:
        workspace: of the brand.
        brand: whose event names mean messages and outcomes.
        known_until: what was known later is not read; aware, None for everything.
    """

    def __init__(self, workspace: Workspace, brand: Brand, *, known_until: datetime | None = None) -> None:
        self._workspace, self._brand, self._known_until = workspace, brand, known_until

    def campaigns(self) -> dict[str, Campaign]:
        """Every campaign that has messages, by name."""
        with self._connection() as connection:
            sent = connection.execute(
                """
                SELECT campaign, coalesce(action_id, arm) AS action, arm, count(*), min(occurred_at), max(occurred_at)
                FROM happened WHERE event = $sent AND campaign IS NOT NULL AND coalesce(action_id, arm) IS NOT NULL
                GROUP BY ALL ORDER BY ALL
                """,
                {"sent": self._brand.events.message_sent},
            ).fetchall()
            measured = connection.execute(
                """
                SELECT campaign, outcome, count(*) FROM happened
                WHERE event = $measured AND campaign IS NOT NULL AND outcome IS NOT NULL GROUP BY ALL ORDER BY ALL
                """,
                {"measured": self._brand.events.outcome_measured},
            ).fetchall()
        outcomes: dict[str, dict[str, int]] = {}
        for campaign, outcome, n in measured:
            outcomes.setdefault(campaign, {})[outcome] = n
        found: dict[str, Campaign] = {}
        for name in sorted({row[0] for row in sent}):
            rows = [row for row in sent if row[0] == name]
            actions: dict[str, int] = {}
            for _, action, _, n, _, _ in rows:
                actions[action] = actions.get(action, 0) + n
            ordered = dict(sorted(actions.items(), key=lambda one: (one[0] != NOTHING_ID, one[0])))
            arms = {arm: action for _, action, arm, _, _, _ in rows if arm is not None}
            times = [at for row in rows for at in row[4:]]
            found[name] = Campaign(name, ordered, arms, outcomes.get(name, {}), _aware(min(times)), _aware(max(times)))
        return found

    def campaign(self, name: str) -> Campaign:
        """The campaign of that name.

        Raises:
            CallersMistake: there is none, with those that there are.
        """
        there = self.campaigns()
        if name in there:
            return there[name]
        if not there:
            raise CallersMistake(f"Asked for campaign '{name}', but {self._why_none(name)}")
        near = closest_name(name, there)
        raise CallersMistake(
            f"Asked for campaign '{name}', but none is called that. There are: "
            + ", ".join(f"'{one}' ({sum(there[one].actions.values()):,} rows)" for one in there)
            + "."
            + (f" Closest: '{near}'." if near else "")
        )

    def _why_none(self, name: str) -> str:
        """What is wrong with what was imported where there is no campaign at all."""
        sent = self._brand.events.message_sent
        with self._connection() as connection:
            found = connection.execute(
                "SELECT count(*) FROM happened WHERE event = $sent AND campaign = $name", {"sent": sent, "name": name}
            ).fetchone()
        if found is not None and found[0]:
            return (
                f"none of its {found[0]:,} '{sent}' says which arm or action it was: both are missing. Where the "
                "mapping has a `map` for them, its keys must be written as the file has them (1 is not 1.0); mend it "
                "and import the same file again."
            )
        return (
            f"no campaign was imported: there is no '{sent}' with a `campaign`. docs/mappings/campaign_table.yaml "
            "shows how."
        )

    def messages(self, campaign: Campaign) -> Messages:
        """Its rows, a message each."""
        with self._connection() as connection:
            found = connection.execute(
                """
                SELECT customer_key, coalesce(person, customer_key) AS person, epoch_us(occurred_at) AS at_us,
                       coalesce(action_id, arm) AS action, action_probability, coalesce(channel, '') AS channel
                FROM happened LEFT JOIN joined ON customer_key = from_key
                WHERE event = $sent AND campaign = $campaign AND coalesce(action_id, arm) IS NOT NULL
                ORDER BY at_us, customer_key, action
                """,
                {"sent": self._brand.events.message_sent, "campaign": campaign.name},
            ).fetchnumpy()
        probability = np.ma.filled(np.ma.asarray(found["action_probability"], dtype=np.float64), np.nan)
        keys, persons, at_us = (np.asarray(found[name], dtype=np.int64) for name in ("customer_key", "person", "at_us"))
        actions, channels = (np.asarray(found[name], dtype=object) for name in ("action", "channel"))
        return Messages(keys, persons, at_us, actions, probability, channels)

    def measured(
        self, campaign: Campaign, messages: Messages, *, outcome: str, window_days: float | None = None
    ) -> Measured:
        """What was measured of each message, 0 where nothing was.

        A measurement belongs to that message of its customer whose window closed nearest to it; several add up.

        Args:
            campaign: whose.
            messages: its rows.
            outcome: its name: measured, or one of FROM_ORDERS.
            window_days: over which orders count; None for what the campaign's outcomes say, else 14.

        Raises:
            CallersMistake: nothing of that name was measured, with what was.
        """
        days = window_days or self._window_days(campaign)
        if outcome in campaign.outcomes:
            value, n_found = self._sums(PAIRED, messages, days, campaign=campaign.name, outcome=outcome)
            return Measured(value, days, is_complete=n_found >= MEASURED_OF_ALL * len(messages))
        if outcome in FROM_ORDERS:
            sql = ORDERED_WITHIN.format(value="total" if outcome == REVENUE else "1.0")
            sums, _ = self._sums(sql, messages, days, name=self._brand.events.order)
            return Measured(sums if outcome == REVENUE else np.minimum(sums, 1.0), days, is_complete=False)
        near = closest_name(outcome, (*campaign.outcomes, *FROM_ORDERS))
        listed = ", ".join(f"'{name}' ({n:,} measured)" for name, n in campaign.outcomes.items()) or "none"
        raise CallersMistake(
            f"Asked for outcome '{outcome}' of campaign '{campaign.name}', which was not measured. Measured: {listed}. "
            f"Without being measured: '{ORDERED}', '{REVENUE}' (orders within the window)."
            + (f" Closest: '{near}'." if near else "")
        )

    def _window_days(self, campaign: Campaign) -> float:
        with self._connection() as connection:
            parameters = {"measured": self._brand.events.outcome_measured, "campaign": campaign.name}
            found = connection.execute(WINDOW, parameters).fetchone()
        return float(found[0]) if found and found[0] else DEFAULT_WINDOW_DAYS

    def _sums(self, sql: str, messages: Messages, days: float, **parameters: object) -> tuple[Floats, int]:
        """By message, the sum of what belongs to it, added in a fixed order; and of how many there is anything."""
        import pyarrow as pa

        rows = np.arange(len(messages), dtype=np.int64)
        table = pa.table({"row": rows, "person": messages.persons, "at_us": messages.at_us})
        if "$measured" in sql:
            parameters["measured"] = self._brand.events.outcome_measured
        with self._connection() as connection:
            connection.register("messages", table)
            found = connection.execute(sql, parameters | {"days": days}).fetchnumpy()
        total = np.zeros(len(messages))
        np.add.at(total, np.asarray(found["row"], dtype=np.int64), np.asarray(found["value"], dtype=np.float64))
        return total, len(np.unique(found["row"]))

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """With the view `happened`: all events of lake and log that were known, and the table `joined` of persons."""
        import duckdb

        from features.lake import Lake
        from features.owners import persons, persons_table
        from features.snapshots import event_log_table

        log = event_log_table(self._workspace)  # before the lake: a sync in between hides nothing
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '3GB'")
        Lake(self._workspace.lake).register(connection, as_of=self._known_until)
        connection.register("log_events", log)
        connection.register("joined", persons_table(persons(self._workspace)))
        until = "" if self._known_until is None else f"AND occurred_at < '{_naive(self._known_until)}'::TIMESTAMP"
        connection.execute(
            f"""
            CREATE TEMP VIEW happened AS
            SELECT {_COLUMNS} FROM events
            UNION ALL
            SELECT {_COLUMNS} FROM log_events WHERE event_id NOT IN (SELECT event_id FROM events) {until}
            """
        )
        return connection


_COLUMNS = """event_id, customer_key, event, occurred_at, received_at, order_id, total, products, channel, campaign,
    action_id, arm, action_probability, outcome, value, window_days"""

PAIRED = """
    WITH measured AS (
        SELECT event_id, coalesce(person, customer_key) AS person, coalesce(value, 1.0) AS value,
               epoch_us(occurred_at) - CAST(coalesce(window_days, $days) * 86400000000 AS BIGINT) AS sent_us
        FROM happened LEFT JOIN joined ON customer_key = from_key
        WHERE event = $measured AND campaign = $campaign AND outcome = $outcome
    )
    SELECT min({'away': abs(messages.at_us - sent_us), 'row': messages.row}).row AS row, any_value(value) AS value
    FROM measured JOIN messages USING (person) GROUP BY event_id ORDER BY row, value, event_id
"""

WINDOW = "SELECT mode(window_days) FROM happened WHERE event = $measured AND campaign = $campaign"

ORDERED_WITHIN = """
    WITH orders AS (
        SELECT coalesce(person, customer_key) AS person, coalesce(order_id, event_id) AS order_key,
               min({{'known_at': greatest(occurred_at, received_at), 'at': epoch_us(occurred_at), 'id': event_id,
                     'total': coalesce(total, list_sum(list_transform(products,
                         lambda line: coalesce(line.quantity, 1) * line.price)), 0.0)}}) AS first
        FROM happened LEFT JOIN joined ON customer_key = from_key
        WHERE event = $name GROUP BY ALL
    )
    SELECT row, {value} AS value FROM (
        SELECT messages.row, first.total AS total, order_key
        FROM messages JOIN orders ON orders.person = messages.person
            AND first.at >= messages.at_us AND first.at < messages.at_us + CAST($days * 86400000000 AS BIGINT)
    ) ORDER BY row, order_key
"""


def _aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
