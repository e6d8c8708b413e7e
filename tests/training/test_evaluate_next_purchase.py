"""`rapport evaluate next-purchase`: ours beside what one would pick instead, on whatever was imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from features.command_line import run_verb
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.workspace import Workspace
from training.evaluating.baselines import BASELINES, CannotFitError, base_rate, bg_nbd, lesson_of, logistic_rfm
from training.evaluating.figures import amount_figures, probability_figures
from training.evaluating.next_purchase import check_asked, evaluate_next_purchase, or_why
from training.evaluating.ours import ours
from training.evaluating.task import Task
from training.evaluating.waiting import waiting
from training.order_days import EPOCH_ORDINAL, OrderDays

FIRST = date(2023, 1, 1)
N_CUSTOMERS = 150
CUTOFF = date(2023, 5, 21)
CUTOFF_DAY = CUTOFF.toordinal() - EPOCH_ORDINAL
LATE = date(2023, 5, 22)
METRICS = {"auc", "log_loss", "brier", "mae", "rmse", "corr", "sum_predicted", "sum_actual"}


def a_shop(*, n_customers: int = 300, days: int = 280, seed: int = 1, amounts: bool = True) -> OrderDays:
    """Customers who all come in the first quarter, buy at their own pace and leave."""
    rng = np.random.default_rng(seed)
    keys, at = [], []
    for key in range(1, n_customers + 1):
        rate, leaves = rng.gamma(0.8, 1 / 20.0), rng.exponential(200.0)
        day = rng.uniform(0, 90)
        while day < days:
            keys.append(key)
            at.append(int(day))
            day += rng.exponential(1 / max(rate, 1e-3))
            if day > 90 + leaves:
                break
    value = rng.gamma(4.0, 5.0, len(keys)) if amounts else np.zeros(len(keys))
    return OrderDays.of(np.array(keys), np.array(at) + FIRST.toordinal() - EPOCH_ORDINAL, value)


def a_task(orders: OrderDays, source: Any, *, day: int, horizon_days: int) -> Task:
    at = source.first + timedelta(days=day)
    number = at.date().toordinal() - EPOCH_ORDINAL
    return Task(at, number, horizon_days, orders.before(number), source)


def orders_of(world: Any) -> OrderDays:
    """The tiny world's orders, as order days."""
    keys = np.concatenate([np.full(len(of), key) for key, of in enumerate(world.orders, start=1)])
    days = np.floor(np.concatenate(world.orders)).astype(np.int64) + FIRST.toordinal() - EPOCH_ORDINAL
    return OrderDays.of(keys.astype(np.int64), days, np.full(len(keys), 10.0))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that knows orders and nothing else: customer, date, quantity, amount; 40 weeks.

    One customer's order before the cutoff was received after it; another turned out after it to be one with a device.
    """
    folder = tmp_path_factory.mktemp("evaluate")
    orders = a_shop(n_customers=N_CUSTOMERS)
    lines = ["customer,date,received,quantity,amount", f"09999,2023-05-19,{LATE},1,10.0"]
    for key, day, amount in zip(orders.customer_keys, orders.days, orders.amounts, strict=True):
        on = date.fromordinal(int(day) + EPOCH_ORDINAL)
        lines.append(f"{key:05d},{on},{on},1,{amount:.2f}")
    (folder / "orders.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mapping = {
        "description": "Orders of a day: customer, date, quantity, amount",
        "types": {"date": "timestamp", "received": "timestamp", "quantity": "number", "amount": "number"},
        "customer": "customer",
        "time": {"column": "date"},
        "received_at": {"column": "received"},
        "events": [
            {
                "event": "Order Completed",
                "key": ["customer", "date"],
                "total": "amount",
                "product": {"product_id": {"value": "disc"}, "quantity": "quantity"},
            }
        ],
    }
    (folder / "mapping.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    run_verb("init", str(folder / "shop"))
    asked = ("--mapping", str(folder / "mapping.yaml"), "--workspace", str(folder / "shop"))
    run_verb("import", str(folder / "orders.csv"), *asked)
    _join_a_device(Workspace(folder / "shop"), _who_joins(orders))
    return folder / "shop"


def _who_joins(orders: OrderDays) -> int:
    """The first customer who orders soon after the cutoff."""
    keys = orders.buyers(CUTOFF_DAY).keys
    return int(keys[orders.within(keys, day=CUTOFF_DAY, horizon_days=40)[0] > 0][0])


def _join_a_device(workspace: Workspace, customer: int) -> None:
    connection = connect(workspace.database)
    identity = IdentityTable(connection)
    device = identity.key_or_new("browser", "anonymous")
    known = datetime.combine(CUTOFF + timedelta(days=10), time(), tzinfo=UTC)
    identity.join(user_id=f"{customer:05d}", anonymous_id="browser", at_us=instant_us(known))
    connection.close()
    at = datetime.combine(CUTOFF - timedelta(days=20), time(12))
    row = {"event_id": "of a device", "customer_key": device, "event": "Order Completed", "order_id": "o", "total": 9.0}
    row |= {"occurred_at": at, "received_at": at, "backfilled": False}
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist([{name: row.get(name) for name in EVENT_SCHEMA.names}], schema=EVENT_SCHEMA))


def test_a_program_reads_one_object_a_horizon_from_standard_output(
    imported: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    asked = ("--cutoff", "2023-05-21", "--horizon-days", "130", "--horizon-days", "40", "--json")
    run_verb("evaluate", "next-purchase", *asked, "--workspace", str(imported))
    long, short = json.loads(capfd.readouterr().out)  # standard output holds nothing else
    assert (long["task"], long["cutoff"], long["horizon_days"]) == ("next-purchase", "2023-05-21", 130)
    assert short["horizon_days"] == 40
    for table in (long, short):
        names = [model["name"] for model in table["models"]]
        assert names == [table["shipped"], *BASELINES]
        assert all(model["metrics"].keys() >= METRICS for model in table["models"])
        assert all(len({model["metrics"][total] for model in table["models"]}) == 1 for total in ("sum_actual",))
        assert table["models"][0]["metrics"]["auc"] > 0.6
        assert not any("reason" in model for model in table["models"])
        orders = a_shop(n_customers=N_CUSTOMERS)
        keys = orders.buyers(CUTOFF_DAY).keys
        second = table["second_purchase"]
        assert second["n"] == (orders.buyers(CUTOFF_DAY).n_days == 1).sum() + 1  # the device
        assert [model["name"] for model in second["models"]] == ["ours", *BASELINES]
        assert "not calibrated on its own" in second["because"]  # so few customers show nothing
        counted, spent = orders.within(keys, day=CUTOFF_DAY, horizon_days=table["horizon_days"])
        device = keys == _who_joins(orders)  # asked beside the customer whose device it is, and does what that one does
        assert table["n"] == len(keys) + 1  # brand.yaml says Asia/Kolkata, where the days of the file begin
        assert table["models"][0]["metrics"]["sum_actual"] == counted.sum() + counted[device][0]
        both = spent.sum() + spent[device][0]
        assert table["models"][0]["metrics"]["spend_sum_actual"] == pytest.approx(both, rel=1e-3)
        assert "1 order-days before the cutoff were received after it" in table["notes"][0]
        assert "1 customers turned out after the cutoff to be one person with another" in table["notes"][1]


def test_ours_and_every_alternative_stand_on_what_was_known_before_the_cutoff(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world(n_customers=120, days=200)
    cut = 150
    world.known_until = world.first + timedelta(days=cut)
    world.orders = [of[of < cut] for of in world.orders]  # whatever looked later would find nothing
    task = a_task(orders_of(world), world, day=cut, horizon_days=90)  # longer than any window that could teach
    for model in (ours, bg_nbd, logistic_rfm, base_rate):
        said = model(task)
        assert said.probability is not None
        assert said.orders is not None
        assert said.orders.shape == (len(task.buyers.keys),)
        assert (said.orders > 0).all()


def test_a_customer_whom_the_snapshot_lacks_does_not_cost_the_others_their_figures(
    tiny_world: Callable[..., Any],
) -> None:
    world = tiny_world(n_customers=120, days=200)
    known, at = orders_of(world), FIRST.toordinal() - EPOCH_ORDINAL + 100
    more = OrderDays.of(np.append(known.customer_keys, 999), np.append(known.days, at), np.append(known.amounts, 10.0))
    said = ours(a_task(more, world, day=150, horizon_days=40))
    assert said.probability is not None
    assert np.isfinite(said.probability).all()
    assert "probability: of 1 customers by repeat buying" in said.notes


def test_one_customer_gets_no_figures_but_reasons(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world(n_customers=1, days=300)
    task = a_task(orders_of(world), world, day=200, horizon_days=60)
    world.known_until = task.cutoff
    assert ours(task).probability is None
    assert ours(task).name == "ours (nothing)"
    with pytest.raises(CannotFitError, match="1 customers have ordered"):
        bg_nbd(task)
    with pytest.raises(CannotFitError, match="it needs 10 of either kind"):
        logistic_rfm(task)


def test_without_amounts_orders_are_expected_and_spend_is_not(tiny_world: Callable[..., Any]) -> None:
    orders = a_shop(amounts=False)
    task = a_task(orders, tiny_world(n_customers=2), day=200, horizon_days=50)
    said = bg_nbd(task)
    assert said.orders is not None
    assert said.spend is None
    assert "no spend" in said.notes[0]


def test_the_curve_and_its_intervals_are_judged_beside_those_of_repeat_buying(tiny_world: Callable[..., Any]) -> None:
    orders = a_shop(n_customers=400)
    task = a_task(orders, tiny_world(n_customers=2), day=180, horizon_days=80)
    probability = bg_nbd(task).probability
    known_days = int(orders.days[-1]) - task.day + 1
    found = waiting(task, probability, orders.next_day(task.buyers.keys, day=task.day) + 1.0, known_days=known_days)
    beyond = [days for days in (160, 240, 320) if days <= known_days]  # what comes after the horizon is judged too
    assert [one["days"] for one in found["curve"]] == [20, 40, 60, 80, *beyond]
    names = ["ours", "BG/NBD", "Pareto/NBD"]
    assert all([model["name"] for model in one["models"]] == names for one in found["curve"])
    last = found["curve"][3]
    happened = (orders.within(task.buyers.keys, day=task.day, horizon_days=80)[0] > 0).astype(np.uint8)
    assert last["base_rate"] == pytest.approx(happened.mean(), abs=1e-6)
    assert last["models"][0]["log_loss"] == probability_figures(happened, probability)["log_loss"]
    for interval in found["next_order"]["models"]:
        assert interval["coverage"] == pytest.approx(interval["said"], abs=0.1)
        assert interval["said"] >= 0.8
    assert found["alive"]["ordered_again"] < found["alive"]["mean"] < 1  # some who still buy did not come yet
    assert found["alive"]["auc_again"] > 0.6


def test_what_stops_the_curve_does_not_stop_the_table(tiny_world: Callable[..., Any]) -> None:
    orders = a_shop()
    task = a_task(orders, tiny_world(n_customers=2), day=180, horizon_days=80)
    too_few = np.array([0.5])  # of one customer, where there are hundreds
    waits = orders.next_day(task.buyers.keys, day=task.day)
    assert or_why("When", lambda: {"n": 1}) == ({"n": 1}, ())
    figures, (note,) = or_why("When the next order comes", lambda: waiting(task, too_few, waits[:-1], known_days=80))
    assert figures == {}
    assert note.startswith("When the next order comes is not said: ")


def test_too_short_a_history_teaches_on_the_longest_window_and_says_so(tiny_world: Callable[..., Any]) -> None:
    task = a_task(a_shop(), tiny_world(n_customers=2), day=140, horizon_days=140)
    lesson = lesson_of(task)
    assert lesson.window_days == 140 // 2
    assert "taught on a window of 70 days" in lesson.notes[0]
    assert base_rate(task).notes == lesson.notes


def test_what_a_shorter_window_taught_is_carried_to_the_horizon_at_a_steady_pace(
    tiny_world: Callable[..., Any],
) -> None:
    task = a_task(a_shop(), tiny_world(n_customers=2), day=140, horizon_days=140)
    lesson, said = lesson_of(task), base_rate(task)
    assert said.probability is not None
    assert said.orders is not None
    assert said.probability[0] == pytest.approx(1 - (1 - lesson.y.mean()) ** (140 / 70))
    assert said.orders[0] == pytest.approx(lesson.orders.mean() * 140 / 70)
    long = logistic_rfm(task)
    closed = logistic_rfm(a_task(a_shop(), tiny_world(n_customers=2), day=140, horizon_days=70))  # of the same 70 days
    assert long.orders is not None
    assert closed.orders is not None
    assert long.probability is not None
    assert closed.probability is not None
    assert np.allclose(long.orders, 2 * closed.orders)
    assert np.allclose(long.probability, 1 - (1 - closed.probability) ** 2)


def test_no_cutoff_is_proposed_that_would_be_refused() -> None:
    with pytest.raises(CallersMistake) as refused:  # 280 days are known: no cutoff has 300 behind it
        check_asked(a_shop(), cutoff=date(2023, 9, 1), horizon_days=300)
    assert str(refused.value).endswith("Use a horizon of 37 days or fewer.")
    one_day = OrderDays.of(np.arange(3), np.full(3, 19_000), np.ones(3))
    with pytest.raises(CallersMistake) as refused:
        check_asked(one_day, cutoff=date(2022, 1, 9), horizon_days=1)
    assert "Use a" not in str(refused.value)
    assert "They begin on 2022-01-08" in str(refused.value)


@pytest.mark.parametrize(
    ("cutoff", "horizon_days", "says"),
    [
        (date(2022, 6, 1), 30, "orders begin on 2023-01-01: nobody had ordered before the cutoff"),
        (date(2024, 6, 1), 30, "orders end on 2023-10-07 and the window closes on 2024-07-01"),
        (date(2023, 9, 1), 90, "a horizon of 37 days or fewer"),
        (date(2023, 5, 1), 0, "a horizon is 1 to 3650 days"),
    ],
)
def test_a_window_that_is_not_known_is_refused_with_what_would_do(cutoff: date, horizon_days: int, says: str) -> None:
    with pytest.raises(CallersMistake, match=says):
        check_asked(a_shop(), cutoff=cutoff, horizon_days=horizon_days)


def test_a_shop_that_was_ever_silent_so_long_may_be_silent_at_the_end() -> None:
    days = np.array([0, 10, 20, 30, 110, 195]) + FIRST.toordinal() - EPOCH_ORDINAL
    sparse = OrderDays.of(np.arange(1, 7), days, np.ones(6))
    (note,) = check_asked(sparse, cutoff=FIRST + timedelta(days=100), horizon_days=100)
    assert "the last 4 days of the window are taken to have brought none" in note
    assert check_asked(sparse, cutoff=FIRST + timedelta(days=96), horizon_days=100) == ()


def test_a_workspace_without_orders_is_told_to_import_some(tmp_path: Path) -> None:
    run_verb("init", str(tmp_path / "empty"))
    with pytest.raises(CallersMistake, match="no order has been imported"):
        evaluate_next_purchase(Workspace(tmp_path / "empty"), cutoff=date(2023, 5, 1), horizons_days=[30])


def test_the_figures_are_those_of_the_textbook() -> None:
    y = np.array([1, 0, 0, 1], dtype=np.uint8)
    said = np.array([0.8, 0.2, 0.4, 0.6])
    figures = probability_figures(y, said)
    assert figures["auc"] == 1.0
    assert figures["brier"] == pytest.approx((0.2**2 + 0.2**2 + 0.4**2 + 0.4**2) / 4)
    assert figures["log_loss"] == pytest.approx(-(np.log(0.8) * 2 + np.log(0.6) * 2) / 4, abs=1e-6)
    amounts = amount_figures(np.array([2.0, 0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0, 2.0]))
    assert (amounts["mae"], amounts["sum_predicted"], amounts["sum_actual"]) == (2 / 4, 4.0, 4.0)
    assert amounts["rmse"] == pytest.approx(np.sqrt(2 / 4), abs=1e-6)


def test_what_cannot_be_computed_is_missing_rather_than_no_number() -> None:
    nobody = probability_figures(np.zeros(3, dtype=np.uint8), np.full(3, 0.1))
    assert nobody["auc"] is None
    assert amount_figures(np.zeros(3), np.full(3, 0.1))["corr"] is None
    json.dumps(nobody, allow_nan=False)
