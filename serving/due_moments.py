"""Looks at what is due: the condition of each waiting moment, on the customer's state as it is now.

Invariant: a moment is written in the transaction that ends its wait, and only if nothing of that customer has come in
since its condition was looked at. So it comes once, whatever is killed when and however many processes look; that only
one of them does is a matter of work, not of correctness.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from features.database import connect
from features.derive import MISSING_INSTANT
from features.event_log import EventLog
from features.expressions import UnknownName
from features.identity import IdentityTable
from features.merges import keys_of
from features.moments import table
from features.moments.following import THROUGH, Followed, follow, is_behind
from features.moments.rules import MomentRule, moment_rules
from features.moments.table import CLOSED, FIRED, DueRow, create, due_rows
from features.packing import EPOCH, CustomerState, Missing
from features.refresher import NOT_RECOMPUTED
from serving.engine import Engine
from serving.knowns import Knowns
from serving.ledger_rows import microseconds
from serving.scoring import Customer, ScoredCustomer, score_customers
from serving.unavailable import unavailability

LOOKED_AT_ONCE = 100
AT_REST_FOR_EACH_AT_WORK = 3.0  # a wave of moments takes a quarter of one core from the decisions beside it
LOOK_AGAIN_AFTER = timedelta(minutes=10)
ROWS_KEEP_FOR = timedelta(days=1)  # counts over windows move by the day; an older row is recomputed first
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000

EXPIRED, TOO_SOON, WHEN, WHEN_UNKNOWN, NOT_IN_BRAND = "expired", "too_soon", "when", "when_unknown", "not_in_brand"

_log = logging.getLogger("rapport.serving")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of one wait: it fires, is closed with a reason, or is put off with one."""

    due: DueRow
    keys: tuple[int, ...]  # the person's, as they were when the condition was looked at
    status: str  # fired | closed | open
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one look did."""

    n_fired: int = 0
    n_closed: int = 0
    n_put_off: int = 0
    is_more: bool = False


class MomentEvaluator:
    """Follows the log and looks at what is due, for one engine; used by one thread.

    Args:
        engine: whose log, states, ledger and clock.
        at_once: how many it looks at before it writes what became of them.

    Raises:
        InvalidFile: the brand's moments are wrong.
    """

    def __init__(self, engine: Engine, *, at_once: int = LOOKED_AT_ONCE) -> None:
        self._engine = engine
        self._at_once = at_once
        self._rules = moment_rules(engine.workspace, engine.brand)
        self._knowns = Knowns(engine.brand, engine.schema)
        self._last_order = engine.schema.instants.index("last_order_at")
        self._reader = connect(engine.workspace.database)
        self._identity, self._events = IdentityTable(self._reader), EventLog(self._reader)
        engine.ledger.write(create)
        engine.ledger.write(partial(table.reschedule, rules=self._rules))

    def close(self) -> None:
        """Closes its connection."""
        self._reader.close()

    def follow(self) -> None:
        """Arms everything that the log holds, however long that takes."""
        now = microseconds(self._engine.now())
        while is_behind(self._reader):
            followed: Followed = self._engine.ledger.write(partial(follow, rules=self._rules, now=now))
            if not followed.is_behind:
                return

    def look(self) -> Round:
        """Follows the log, then looks at those that have been due the longest."""
        self.follow()
        at = self._engine.now()
        through = self._events.state(
            THROUGH
        )  # before any state is read: each then holds at least everything up to here
        due = due_rows(self._reader, now=microseconds(at), limit=self._at_once)
        if not due:
            return Round()
        verdicts = self._judge(due, at)
        work = partial(_write, verdicts=verdicts, rules=self._rules, at=at, through=through)
        written: list[str] = self._engine.ledger.write(work)
        return Round(
            n_fired=written.count(FIRED),
            n_closed=written.count(CLOSED),
            n_put_off=written.count(table.OPEN),
            is_more=len(due) == self._at_once,
        )

    def _judge(self, due: Sequence[DueRow], at: datetime) -> list[Verdict]:
        people = {row.customer_key: self._identity.keys_of(row.customer_key) for row in due}
        at_us = microseconds(at)
        verdicts, to_score = [], []
        for row in due:
            if row.moment not in self._rules:
                verdicts.append(Verdict(row, people[row.customer_key], CLOSED, NOT_IN_BRAND))
            elif row.expires_at < at_us:
                verdicts.append(Verdict(row, people[row.customer_key], CLOSED, EXPIRED))
            else:
                to_score.append(row)
        scored = self._scored({row.customer_key: people[row.customer_key] for row in to_score}, at)
        return verdicts + [
            self._judged(row, people[row.customer_key], scored[row.customer_key], at_us=at_us) for row in to_score
        ]

    def _scored(self, people: dict[int, tuple[int, ...]], at: datetime) -> dict[int, ScoredCustomer]:
        engine = self._engine
        customers = [Customer(key, self._state(keys, at)) for key, keys in people.items()]
        if not customers:
            return {}
        scored = score_customers(
            customers, models=engine.models.served, schema=engine.schema, brand=engine.brand, at=at
        )
        return dict(zip(people, scored, strict=True))

    def _state(self, keys: tuple[int, ...], at: datetime) -> CustomerState | Missing:
        """The state of one person; missing, with a reason, where theirs cannot be made: the others' moments come."""
        try:
            return self._made_state(keys, at)
        except Exception as fault:
            if unavailability(fault) is not None:
                raise  # the disk's trouble, which is everybody's
            _log.warning("Moments of customer_key %d wait: their row cannot be made.", keys[0], exc_info=True)
            return Missing(NOT_RECOMPUTED)

    def _made_state(self, keys: tuple[int, ...], at: datetime) -> CustomerState | Missing:
        online = self._engine.online
        state = online.read_current(keys, at=at)
        if isinstance(state, Missing) or at - state.as_of > ROWS_KEEP_FOR:
            made = online.recompute([keys], at=at)
            online.write(made)  # until then this process reads what was made here, whatever comes to the store
            return made.states.get(keys[0], state)
        return state

    def _judged(self, row: DueRow, keys: tuple[int, ...], scored: ScoredCustomer, *, at_us: int) -> Verdict:
        state, rule = scored.customer.state, self._rules[row.moment]
        if isinstance(state, Missing):
            return Verdict(row, keys, table.OPEN, state.reason)
        locale = state.locale or self._engine.brand.default_locale
        values = self._knowns.of_customer(rule.when.names, scored, locale=locale)
        values |= self._of_the_trigger(row, state, at_us=at_us)
        try:
            holds = rule.when.evaluate(values)
        except UnknownName as unknown:
            return Verdict(row, keys, CLOSED, f"{WHEN_UNKNOWN}: {unknown}")
        return Verdict(row, keys, FIRED) if holds is True else Verdict(row, keys, CLOSED, WHEN)

    def _of_the_trigger(self, row: DueRow, state: CustomerState, *, at_us: int) -> dict[str, object]:
        last_order = int(state.instants[self._last_order])
        return {
            "trigger_at": EPOCH + timedelta(microseconds=row.trigger_at),
            "hours_since_trigger": (at_us - row.trigger_at) / HOUR_US,
            "days_since_trigger": (at_us - row.trigger_at) / DAY_US,
            "ordered_since_trigger": last_order != MISSING_INSTANT and last_order > row.trigger_at,
        }


def _write(
    connection: sqlite3.Connection,
    verdicts: Sequence[Verdict],
    *,
    rules: dict[str, MomentRule],
    at: datetime,
    through: int,
) -> list[str]:
    """Writes each verdict that still stands; gives what became of each, '' where it is to be looked at again."""
    log, at_us = EventLog(connection), microseconds(at)
    return [_settled(connection, verdict, rules, log=log, at_us=at_us, through=through) for verdict in verdicts]


def _settled(
    connection: sqlite3.Connection,
    verdict: Verdict,
    rules: dict[str, MomentRule],
    *,
    log: EventLog,
    at_us: int,
    through: int,
) -> str:
    due, keys = verdict.due, verdict.keys
    if verdict.status == table.OPEN:
        until = at_us + LOOK_AGAIN_AFTER // timedelta(microseconds=1)
        table.put_off(connection, due, until=until, reason=verdict.reason or "")
        return table.OPEN
    is_as_it_was = keys_of(connection, due.customer_key) == keys and keys[0] == due.customer_key
    if not is_as_it_was or log.newest_of(keys) > through:
        return ""  # joined, or something of theirs has come in since
    if verdict.status == FIRED:
        rule = rules[due.moment]
        last = table.last_fired(connection, due.moment, keys)
        if last is not None and at_us - last < rule.every_us:
            return CLOSED if table.settle(connection, due, status=CLOSED, reason=TOO_SOON) else ""
        if not table.settle(connection, due, status=FIRED, reason=None):
            return ""
        table.fire(connection, due, rule, fired_at=at_us)
        return FIRED
    return CLOSED if table.settle(connection, due, status=CLOSED, reason=verdict.reason) else ""


class MomentWatch:
    """A background thread that looks every so often, in one process at a time.

    Args:
        engine: whose log, states and clock.
        every_seconds: how long it waits when nothing is due.
    """

    def __init__(self, engine: Engine, *, every_seconds: float = 1.0) -> None:
        self._engine = engine
        self._every = every_seconds
        self._evaluator = MomentEvaluator(engine)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rapport-moments", daemon=True)

    def start(self) -> None:
        """Starts to look."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; what it has in hand is finished first."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._evaluator.close()

    def _look(self) -> bool:
        """One look and the rest that it has earned; gives whether there is more."""
        began = time.monotonic()
        is_more = self._evaluator.look().is_more
        if is_more:
            self._stop.wait(AT_REST_FOR_EACH_AT_WORK * (time.monotonic() - began))
        return is_more

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with _alone(self._engine) as is_ours:
                    while is_ours and not self._stop.is_set() and self._look():
                        continue
            except Exception as fault:  # a full disk today is no reason for no moments tomorrow
                trouble = unavailability(fault)
                _log.warning("Moments wait: %s.", trouble or "see the trace", exc_info=trouble is None)
            self._stop.wait(self._every)


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[bool]:
    """Whether this process is the one that looks; another's lock goes when it dies."""
    with (engine.workspace.state / "moments.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
