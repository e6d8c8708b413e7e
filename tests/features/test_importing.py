"""From a shop's rows to events: what a mapping can say, and how every row is accounted for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.features.import_world import LINES, ORDERS, THREE_ORDERS, World, a_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


def test_rows_become_events_of_customers_with_keys(world: World) -> None:
    report = world.run(world.file("orders.csv", THREE_ORDERS))
    assert (report.n_read, report.n_used, report.n_new, report.n_customers) == (3, 3, 3, 2)
    assert world.events("event_id, customer_key, order_id, total, currency") == [
        ("Order Completed:1", 1, "1", 10.0, "EUR"),
        ("Order Completed:2", 2, "2", 20.0, "EUR"),
        ("Order Completed:3", 1, "3", 30.0, "EUR"),
    ]


def test_without_received_at_an_event_was_known_when_it_happened(world: World) -> None:
    world.run(world.file("orders.csv", THREE_ORDERS))
    assert world.events("bool_and(received_at = occurred_at AND backfilled)", order="1") == [(True,)]


def test_received_at_can_be_named(world: World) -> None:
    file = world.file("orders.csv", "customer,at,order,total,loaded\nana,2024-01-01,1,10,2024-01-05\n")
    mapping = "received_at: {column: loaded, zone: UTC}\n" + ORDERS
    world.run(file, mapping=mapping)
    assert world.events("received_at, backfilled") == [(datetime(2024, 1, 5), False)]  # noqa: DTZ001
    assert world.events(as_of=datetime(2024, 1, 3, tzinfo=UTC)) == []


def test_the_same_import_twice_changes_nothing(world: World) -> None:
    file = world.file("orders.csv", THREE_ORDERS)
    world.run(file)
    before = world.lake.manifest_path.read_bytes()
    report = world.run(file)
    assert (report.n_new, report.n_unchanged, report.n_corrected) == (0, 3, 0)
    assert world.lake.manifest_path.read_bytes() == before


def test_a_correction_is_seen_from_when_it_became_known(world: World) -> None:
    world.run(world.file("orders.csv", THREE_ORDERS))
    known_at = datetime(2024, 6, 1, 12, 0, 0, 123457, tzinfo=UTC)
    report = world.run(world.file("again.csv", THREE_ORDERS.replace("2,20", "2,25")), now=known_at)
    assert (report.n_new, report.n_unchanged, report.n_corrected) == (0, 2, 1)
    query = {"columns": "sum(total)", "order": "1"}
    assert world.events(**query, as_of=known_at) == [(10.0 + 20.0 + 30.0,)]
    assert world.events(**query, as_of=known_at + timedelta(microseconds=1)) == [(10.0 + 25.0 + 30.0,)]
    assert world.events(**query) == [(10.0 + 25.0 + 30.0,)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("loaded", "known_on"), [("2024-01-20", "2024-01-20"), ("2024-01-05", "2024-06-01")])
def test_a_correction_counts_from_its_received_at_unless_that_cannot_be(
    world: World, loaded: str, known_on: str
) -> None:
    mapping = "received_at: {column: loaded, zone: UTC}\n" + ORDERS
    row = "customer,at,order,total,loaded\nana,2024-01-01,1,{},{}\n"
    world.run(world.file("first.csv", row.format(10, "2024-01-05")), mapping=mapping)
    now = datetime(2024, 6, 1, tzinfo=UTC)
    assert world.run(world.file("second.csv", row.format(12, loaded)), mapping=mapping, now=now).n_corrected == 1
    known_at = datetime.fromisoformat(known_on).replace(tzinfo=UTC)
    assert world.events("total", as_of=known_at) == [(10.0,)]
    assert world.events("total", as_of=known_at + timedelta(microseconds=1)) == [(12.0,)]


def test_a_correction_may_move_an_event_to_another_customer_and_month(world: World) -> None:
    world.run(world.file("orders.csv", THREE_ORDERS))
    moved = THREE_ORDERS.replace("bo,2024-01-02", "cy,2024-03-02")
    known_at = datetime(2024, 6, 1, tzinfo=UTC)
    assert world.run(world.file("again.csv", moved), now=known_at).n_corrected == 1
    assert world.events("customer_key, month(occurred_at)")[1] == (3, 3)
    assert world.events("customer_key, month(occurred_at)", as_of=known_at)[1] == (2, 1)
    assert world.lake.n_events() == 3


def test_a_correction_can_be_taken_back(world: World) -> None:
    for number, total in enumerate(("20", "25", "20")):
        changed = THREE_ORDERS.replace("2,20", f"2,{total}")
        world.run(world.file(f"{number}.csv", changed), now=datetime(2024, 6, 1 + number, tzinfo=UTC))
    seen = [world.events("total", as_of=datetime(2024, 6, day, 12, tzinfo=UTC))[1][0] for day in (1, 2, 3)]
    assert seen == [20.0, 25.0, 20.0]


def test_a_key_said_twice_in_one_import_counts_once_as_it_came_last(world: World) -> None:
    file = world.file("orders.csv", THREE_ORDERS + "ana,2024-01-03 10:00:00,3,33\n")
    report = world.run(file)
    assert (report.n_used, report.n_new, report.n_repeated) == (4, 3, 1)
    assert world.events("total")[2] == (33.0,)
    assert world.run(file).n_unchanged == 3


@pytest.mark.parametrize("key", ["    key: order\n", ""])
def test_several_records_of_one_event_on_a_row_are_several_events(world: World, key: str) -> None:
    outcomes = "".join(
        f"  - event: Outcome Measured\n{key}    outcome: {outcome}\n    value: total\n"
        for outcome in ("{value: visit}", "{value: spend}", "{column: order}", "{sql: \"'other'\"}")
    )
    file = world.file("orders.csv", THREE_ORDERS)
    report = world.run(file, mapping=ORDERS + outcomes)
    assert (report.n_used, report.n_new, report.n_repeated) == (3, 3 * (1 + 4), 0)
    assert world.run(file, mapping=ORDERS + outcomes).n_unchanged == 3 * (1 + 4)


def test_without_a_key_true_duplicates_stay_and_a_repeat_adds_none(world: World) -> None:
    mapping = ORDERS.replace("    key: order\n", "").replace("    order_id: order\n", "")
    content = "customer,at,total\nana,2024-01-01,5\nana,2024-01-01,5\nana,2024-01-02,5\n"
    assert world.run(world.file("a.csv", content), mapping=mapping).n_new == 3
    longer = content + "ana,2024-01-01,5\n"
    report = world.run(world.file("longer.csv", longer), mapping=mapping)
    assert (report.n_new, report.n_unchanged) == (1, 3)


def test_lines_become_one_order_at_the_time_of_the_earliest(world: World) -> None:
    rows = [
        "ana,2024-01-01 10:05:00,7,soap,2,3.5",
        "ana,2024-01-01 10:00:00,7,oil,1,10",
        "ana,2024-01-02 09:00:00,C7,oil,-1,10",
    ]
    world.run(world.file("lines.csv", "customer,at,order,sku,quantity,price\n" + "\n".join(rows)), mapping=LINES)
    order, refund = world.events("event, order_id, occurred_at, total, products")
    assert order[:4] == ("Order Completed", "7", datetime(2024, 1, 1, 10), 2 * 3.5 + 1 * 10)  # noqa: DTZ001
    assert [(p["product_id"], p["quantity"], p["price"]) for p in order[4]] == [("oil", 1.0, 10.0), ("soap", 2.0, 3.5)]  # type: ignore[attr-defined]
    assert refund[0] == "Order Refunded"
    assert refund[3] == 10.0
    assert [p["quantity"] for p in refund[4]] == [1.0]  # type: ignore[attr-defined]


def test_the_order_of_lines_in_a_file_is_no_correction(world: World) -> None:
    rows = [f"ana,2024-01-01 10:0{n}:00,7,sku{n % 3},1,0.{n}" for n in range(1, 8)]
    head = "customer,at,order,sku,quantity,price\n"
    world.run(world.file("a.csv", head + "\n".join(rows)), mapping=LINES)
    report = world.run(world.file("b.csv", head + "\n".join(reversed(rows))), mapping=LINES)
    assert (report.n_unchanged, report.n_corrected) == (1, 0)


def test_lines_that_stand_in_two_files_of_one_import_count_once(world: World) -> None:
    head = "customer,at,order,sku,quantity,price\n"
    soap, oil = "ana,2024-01-01,7,soap,2,3.5\n", "ana,2024-01-01,7,oil,1,10\n"
    january = world.file("january.csv", head + soap + soap + oil)
    overlapping = world.file("overlapping.csv", head + oil + soap + "bo,2024-02-01,8,oil,1,10\n")
    report = world.run(january, overlapping, mapping=LINES)
    assert (report.n_used, report.n_new) == (6, 2)
    assert world.events("order_id, total") == [("7", 2 * 2 * 3.5 + 10.0), ("8", 10.0)]
    assert world.run(january, mapping=LINES).n_unchanged == 1


def test_lines_of_one_order_with_two_customers_are_refused(world: World) -> None:
    rows = "customer,at,order,sku,quantity,price\nana,2024-01-01,7,a,1,1\nbo,2024-01-01,7,b,1,1\n"
    assert world.run(world.file("a.csv", rows), mapping=LINES).quarantined == {"several_customers_in_group": 2}


def test_every_bad_row_is_in_quarantine_with_its_reason_and_as_it_was(world: World) -> None:
    rows = [
        ",2024-01-01,1,1",
        "ana,yesterday,2,1",
        "ana,,3,1",
        "ana,2024-01-01,4,-1",
        "ana,2024-01-01,5,much",
        "ana,2024-01-01,,6",
        "ana,2199-01-01,7,1",
        "ana,1969-12-31,8,1",
        "ana,2024-01-01,9,1",
        "ana,2024-01-01,10",
        "ana,2024-01-01,11,1,extra",
        "ana,2024-01-01,12,inf",
    ]
    report = world.run(world.file("orders.csv", "customer,at,order,total\n" + "\n".join(rows) + "\n"))
    assert report.n_read == 12
    assert report.n_used == 1
    assert report.quarantined == {
        "unparsable_total": 2, "negative_price": 1, "no_customer": 1, "no_key": 1, "no_time": 1, "time_before_1970": 1,
        "time_in_the_future": 1, "too_few_columns": 1, "too_many_columns": 1, "unparsable_time": 1,
    }  # fmt: skip
    kept = {reason: original for reason, _, original in world.quarantine()}
    assert json.loads(str(kept["unparsable_time"])) == {
        "customer": "ana",
        "at": "yesterday",
        "order": "2",
        "total": "1",
    }
    assert kept["too_many_columns"] == "ana,2024-01-01,11,1,extra"
    assert len(world.quarantine()) == 11


def test_importing_bad_rows_again_does_not_double_the_quarantine(world: World) -> None:
    file = world.file("orders.csv", "customer,at,order,total\n,2024-01-01,1,1\n")
    world.run(file)
    world.run(file)
    assert len(world.quarantine()) == 1


def test_left_out_is_what_no_condition_takes(world: World) -> None:
    mapping = ORDERS + "    where: total > 15\n" + "types: {total: number}\nwhere: customer <> 'bo'\n"
    report = world.run(world.file("orders.csv", THREE_ORDERS + "ana,2024-01-01,4,x\n"), mapping=mapping)
    assert (report.n_used, report.n_left_out, report.quarantined) == (1, 2, {"unparsable_total": 1})


def test_declared_traits_become_answers_and_missing_ones_nothing(world: World) -> None:
    mapping = """
rename: {"Member Id": member}
customer: member
time: {column: since, format: "%Y%m%d", zone: UTC}
events:
  - event: identify
    key: member
    traits:
      income: {column: income, missing: [0, n/a]}
      birthday: birthday
      skin_need: {column: skin, map: {D: dryness, A: acne}}
      interests: {column: likes, split: ";"}
"""
    rows = (
        "Member Id,since,income,birthday,skin,likes\n"
        "ana,20240101,1000.0,1990-02-03,D,skincare; makeup\nbo,20240102,0,,X,\n"
    )
    report = world.run(world.file("profile.csv", rows), mapping=mapping)
    assert report.n_used == 2
    assert world.events("trait, answer, channel", order="trait") == [
        ("birthday", "1990-02-03", "import"),
        ("income", "1000", "import"),
        ("interests", '["skincare","makeup"]', "import"),
        ("skin_need", "dryness", "import"),
    ]


def test_answers_that_are_no_answers_are_refused(world: World) -> None:
    mapping = """
customer: c
time: {column: at, zone: UTC}
events:
  - event: Question Answered
    key: [c, trait]
    trait: trait
    answer: answer
"""
    rows = [
        ("income", "a lot"), ("skin_need", "itchy"), ("interests", '["skincare","cars"]'), ("colour", "red"),
        ("birthday", "soon"), ("note", "my secret"), ("skin_need", "acne"),
    ]  # fmt: skip
    lines = [json.dumps({"c": f"c{n}", "at": "2024-01-01", "trait": t, "answer": a}) for n, (t, a) in enumerate(rows)]
    report = world.run(world.file("answers.jsonl", "\n".join(lines)), mapping=mapping)
    assert report.n_used == 1
    assert set(report.quarantined) == {
        "unparsable_income", "unknown_choice_skin_need", "unknown_choice_interests", "unknown_trait",
        "unparsable_birthday", "free_text_note",
    }  # fmt: skip
    assert "my secret" not in json.dumps(world.quarantine())


def test_one_row_yields_traits_a_message_and_an_outcome(world: World) -> None:
    mapping = """
customer: id
time: {column: sent, zone: UTC}
types: {spend: number}
events:
  - event: identify
    key: id
    traits: {income: income}
  - event: Message Sent
    key: id
    campaign: {value: spring}
    action_id: {column: arm, map: {mail: spring_mail}, otherwise: nothing}
    action_probability: {sql: "CASE WHEN arm = 'mail' THEN 0.8 ELSE 0.2 END"}
  - event: Outcome Measured
    key: id
    time: {column: measured, zone: UTC}
    campaign: {value: spring}
    outcome: {value: spend}
    value: spend
    window_days: 14
"""
    rows = "id,sent,measured,income,arm,spend\nana,2024-01-01,2024-01-15,5,mail,7.5\nbo,2024-01-01,2024-01-15,,none,0\n"
    world.run(world.file("campaign.csv", rows), mapping=mapping)
    columns = "event, customer_key, action_id, action_probability, value, window_days"
    assert world.events(columns, order="event, customer_key") == [
        ("Message Sent", 1, "spring_mail", 0.8, None, None),
        ("Message Sent", 2, "nothing", 0.2, None, None),
        ("Outcome Measured", 1, None, None, 7.5, 14.0),
        ("Outcome Measured", 2, None, None, 0.0, 14.0),
        ("Question Answered", 1, None, None, None, None),
    ]


def test_a_row_with_one_bad_part_becomes_nothing_at_all(world: World) -> None:
    mapping = ORDERS + "  - event: Paid\n    key: order\n    value: paid\n"
    rows = "customer,at,order,total,paid\nana,2024-01-01,1,5,5\nbo,2024-01-01,2,5,?\n"
    report = world.run(world.file("orders.csv", rows), mapping=mapping)
    assert report.quarantined == {"unparsable_value": 1}
    assert world.events("event") == [("Order Completed",), ("Paid",)]
