"""Order days: one row a customer and day, and what was known of whom as of which day."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.contract import EVENT_SCHEMA
from features.database import connect
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.starting import write_starter
from features.workspace import Workspace
from training.order_days import EPOCH_ORDINAL, OrderDays, day_of, read_order_days, rfm

ANNA, BEN = 1, 2


def orders(*rows: tuple[int, int, float]) -> OrderDays:
    """Of rows (customer, day, amount)."""
    keys, days, amounts = zip(*rows, strict=True) if rows else ((), (), ())
    return OrderDays.of(np.array(keys, dtype=np.int64), np.array(days, dtype=np.int64), np.array(amounts, dtype=float))


def test_two_orders_on_one_day_are_one_order_day_of_both_amounts() -> None:
    known = orders((ANNA, 10, 5.0), (ANNA, 10, 7.0), (BEN, 10, 1.0))
    assert list(known.days) == [10, 10]
    assert list(known.amounts) == [5.0 + 7.0, 1.0]


def test_a_day_comes_to_the_same_to_the_last_bit_in_whatever_order_its_orders_are_read() -> None:
    """0.1 + 0.2 + 0.3 is 0.6000000000000001, and 0.3 + 0.2 + 0.1 is 0.6; a database reads in any order."""
    one, other = orders((1, 5, 0.1), (1, 5, 0.2), (1, 5, 0.3)), orders((1, 5, 0.3), (1, 5, 0.2), (1, 5, 0.1))
    assert one.amounts.tolist() == other.amounts.tolist()


def test_a_buyer_has_the_history_that_the_literature_counts() -> None:
    anna = orders((ANNA, 10, 5.0), (ANNA, 24, 7.0), (ANNA, 31, 0.0), (ANNA, 50, 9.0)).buyers(45)
    history = anna.history()
    assert (history.x[0], history.t_x[0], history.T[0]) == (3 - 1, (31 - 10) / 7, (45 - 10) / 7)
    assert anna.mean_value()[0] == (5.0 + 7.0) / 2  # the day without an amount says nothing of what an order brings
    assert list(anna.n_recent[0]) == [3, 3]


def test_the_window_holds_its_first_day_and_not_its_last() -> None:
    known = orders((ANNA, 10, 5.0), (ANNA, 20, 7.0), (ANNA, 30, 9.0), (BEN, 29, 2.0), (3, 25, 1.0))
    n, spend = known.within(np.array([ANNA, BEN]), day=20, horizon_days=10)
    assert list(n) == [1, 1]  # day 30 is the next window's; customer 3 was not asked for
    assert list(spend) == [7.0, 2.0]


def test_who_never_comes_again_waits_for_ever() -> None:
    known = orders((ANNA, 10, 5.0), (BEN, 12, 5.0), (ANNA, 20, 7.0), (ANNA, 22, 7.0))
    assert list(known.next_day(np.array([ANNA, BEN, 3]), day=13)) == [20 - 13, np.inf, np.inf]
    assert list(known.next_day(np.array([ANNA]), day=20)) == [0]


def test_a_shop_without_orders_has_no_buyers() -> None:
    nobody = orders()
    assert len(nobody.buyers(10).keys) == 0
    assert rfm(nobody.buyers(10)).shape == (0, 8)
    assert nobody.longest_silence == 1


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60), st.floats(0, 100)), min_size=1, max_size=40),
    st.integers(1, 60),
)
def test_what_happens_later_changes_nothing_that_was_known(rows: list[tuple[int, int, float]], cutoff: int) -> None:
    whole, before = orders(*rows), orders(*(row for row in rows if row[1] < cutoff))
    for name in ("keys", "n_days", "first_ago", "last_ago", "revenue", "n_valued", "n_recent"):
        assert np.allclose(getattr(whole.buyers(cutoff), name), getattr(before.buyers(cutoff), name))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York", "Europe/London"])
def test_a_cutoff_weeks_before_a_midnight_is_that_day_whatever_the_clocks_did(zone: str) -> None:
    midnight = datetime(2011, 6, 10, tzinfo=ZoneInfo(zone))
    assert (
        day_of(midnight, time_zone=zone) == (datetime(2011, 6, 10, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    )
    an_hour_off = midnight.astimezone(UTC) - timedelta(days=182)
    assert day_of(an_hour_off, time_zone=zone) == day_of(midnight, time_zone=zone) - 182


def an_order(key: int, number: int, *, at: datetime, received_at: datetime | None = None) -> dict[str, Any]:
    named = {"event_id": f"e{number}", "customer_key": key, "event": "Order Completed", "order_id": f"o{number}"}
    times = {"occurred_at": at.replace(tzinfo=None), "received_at": (received_at or at).replace(tzinfo=None)}
    row = named | times | {"backfilled": False, "total": 10.0}
    return {name: row.get(name) for name in EVENT_SCHEMA.names}


def test_as_of_an_instant_late_orders_and_later_joins_are_not_known(tmp_path: Path) -> None:
    start, cutoff = datetime(2024, 6, 1, 12, tzinfo=UTC), datetime(2024, 6, 11, tzinfo=UTC)
    workspace = Workspace(tmp_path)
    write_starter(tmp_path)
    connection = connect(workspace.database)
    identity = IdentityTable(connection)
    user, device = identity.key_or_new("asha"), identity.key_or_new("browser", "anonymous")
    identity.join(user_id="asha", anonymous_id="browser", at_us=instant_us(cutoff + timedelta(days=1)))
    connection.close()
    rows = [
        an_order(device, 1, at=start),
        an_order(user, 2, at=start + timedelta(days=2)),
        an_order(user, 3, at=start + timedelta(days=4), received_at=cutoff + timedelta(days=2)),
        an_order(user, 4, at=cutoff + timedelta(days=3)),
    ]
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    first = start.date().toordinal() - EPOCH_ORDINAL
    then, now = read_order_days(workspace, known_until=cutoff), read_order_days(workspace)
    assert list(zip(then.customer_keys, then.days - first, strict=True)) == [(device, 0), (user, 2)]
    assert list(zip(now.customer_keys, now.days - first, strict=True)) == [(user, 0), (user, 2), (user, 4), (user, 13)]


def test_of_some_customers_are_read_what_is_read_of_them_among_all(
    tmp_path: Path,
) -> None:
    start = datetime(2024, 6, 1, 12, tzinfo=UTC)
    workspace = Workspace(tmp_path)
    write_starter(tmp_path)
    with closing(connect(workspace.database)) as connection:
        identity = IdentityTable(connection)
        asha, ben = identity.key_or_new("asha"), identity.key_or_new("ben")
    rows = [an_order(asha, 1, at=start), an_order(ben, 2, at=start), an_order(ben, 3, at=start + timedelta(days=5))]
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    everybody = read_order_days(workspace)

    some = read_order_days(workspace, customer_keys=np.array([ben], dtype=np.int64))

    of_ben = everybody.customer_keys == ben
    assert (len(everybody.days), len(some.days)) == (3, 2)
    for name in ("customer_keys", "days", "amounts"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everybody, name)[of_ben])
