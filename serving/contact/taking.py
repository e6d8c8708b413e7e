"""What decisions take, contacts, budgets and codes, written in the transaction that writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from features.catalogue import NOTHING
from features.database import insert_rows
from serving.contact import coupons
from serving.contact.facts import POOL
from serving.contact.rules import ContactRules
from serving.contact.store import ADD_USE, USE, release_due
from serving.contact.windows import to_us
from serving.exploration import count_all_exposures
from serving.next_question import asked

if TYPE_CHECKING:
    from serving.decision import Decision

_INSERT = "INSERT INTO contacts VALUES"
_HOLD = "INSERT INTO budget_holds VALUES"


class Taken:
    """What several decisions say and take, written with one statement a table; coupon codes are taken at once.

    Attributes:
        units: how many units were taken of each budget and pool, by name.
        most_units: the most of any of them.
        has_released: whether something was given back meanwhile, so that the last codes could be had.
    """

    def __init__(self) -> None:
        self.units: dict[str, int] = {}
        self.most_units = 0
        self.has_released = False
        self._contacts: list[tuple[object, ...]] = []
        self._used: dict[tuple[str, int], tuple[int, int]] = {}
        self._held: list[tuple[object, ...]] = []
        self._exposed: dict[str, int] = {}
        self._at: tuple[datetime | None, int] = (None, 0)

    def add(
        self,
        connection: sqlite3.Connection,
        decision: Decision,
        rules: ContactRules,
        at: datetime,
        *,
        is_deferred: bool = False,
    ) -> dict[int, str]:
        """What one more decision says becomes contacts, and is taken from budgets and pools: the codes by slot.

        Args:
            connection: in the transaction that writes the decision, in which the facts that it rests on were read.
            decision: a new one. Of a held-out customer nothing is counted.
            rules: what each slot takes.
            at: when it was decided.
            is_deferred: whether it is only reserved, until it is exposed.
        """
        if decision.is_holdout:
            return {}
        situation, at_us, codes = decision.situation, self._us(at), dict[int, str]()
        for slot, said in enumerate(decision.slots):
            if said.action_id == NOTHING:
                continue
            share = rules.budgets.share(said.action_id, said.channel, at_us=at_us)
            code = None if share.pool is None else self._code(connection, share.pool, at)
            if code is not None:
                codes[slot] = code
            said_at = max(at, said.send_at) if said.send_at else at  # nobody can see it before: it counts from there
            exposed = None if is_deferred else at_us if said_at is at else to_us(said_at)
            until = to_us(rules.reserved_until(said_at)) if is_deferred else None
            # An answer that is always given (fallback, baseline, off-script) is none of what a budget is for.
            is_charged = bool(share.charges) and decision.is_drawn
            if is_charged:
                self._take(share.charges)
            if until is not None and is_charged:
                whose = (until, situation.decision_id, slot, situation.customer_key)
                self._held += [
                    (budget, period, *whose, units, amount) for budget, units, amount, period in share.charges
                ]
            row: tuple[object, ...] = (
                situation.decision_id,
                slot,
                situation.customer_key,
                said.action_id,
                said.channel,
                share.tags,
                situation.initiated_by,
                at_us,
                exposed,
                until,
                None,
                None,
                max(at_us, exposed or 0, until or 0),
                None,
                0,
                share.told if is_charged else None,
                share.pool,
                code,
            )
            self._contacts.append(row)
            if exposed is not None:
                self._exposed[said.action_id] = self._exposed.get(said.action_id, 0) + 1
            if said.offer is not None and said.offer.action.asks is not None:
                asked.note_question(connection, decision, slot=slot)
        return codes

    def write(self, connection: sqlite3.Connection) -> None:
        """Writes what was added since the last time."""
        insert_rows(connection, _INSERT, self._contacts)
        insert_rows(connection, USE, [(*one, *taken) for one, taken in self._used.items()], ADD_USE)
        insert_rows(connection, _HOLD, self._held)
        count_all_exposures(connection, self._exposed)
        self._contacts, self._used, self._held, self._exposed = [], {}, [], {}

    def _us(self, at: datetime) -> int:
        """The instant in microseconds; those of one group have one instant, nearly always."""
        if at is not self._at[0]:
            self._at = (at, to_us(at))
        return self._at[1]

    def _take(self, charges: Sequence[tuple[str, int, int, int]]) -> None:
        for budget, units, amount, period in charges:
            taken = self.units[budget] = self.units.get(budget, 0) + units
            if taken > self.most_units:
                self.most_units = taken
            if not budget.startswith(POOL):
                before = self._used.get((budget, period), (0, 0))
                self._used[budget, period] = (before[0] + units, before[1] + amount)

    def _code(self, connection: sqlite3.Connection, pool: str, at: datetime) -> str | None:
        """The next code; where none is free, of those whose reservation is over, though nobody has released it yet."""
        code = coupons.take_code(connection, pool)
        while code is None and release_due(connection, at):
            self.has_released = True
            code = coupons.take_code(connection, pool)
        return code
