from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.analysis import analyse_holdout, analyse_workspace
from experiments.holdout_customers import HoldoutQuestion, LeftOut
from experiments.holdout_table import as_dictionary
from experiments.metrics import Estimate, NotEstimable
from experiments.records import HOLDOUT, PERSONALISED
from features.database import connect
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.lake import instant_us
from features.merges import Merge

if TYPE_CHECKING:
    from tests.experiments.conftest import ReportWorld

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RATE = 0.2


def a_ledger(
    *,
    n_personalised: int = 400,
    n_holdout: int = 100,
    orders: Mapping[int, Sequence[tuple[timedelta, float]]] | None = None,
    decided_after: Mapping[int, timedelta] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers 1, 2, … are personalised, -1, -2, … held out; all decided for at noon, unless told otherwise."""
    keys = [*range(1, n_personalised + 1), *range(-1, -n_holdout - 1, -1)]
    decisions = pd.DataFrame(
        {
            "customer_key": keys,
            "decided_at": pd.to_datetime(
                [NOON + (decided_after or {}).get(key, timedelta(0)) for key in keys], utc=True
            ),
            "placement": "chat_reply",
            "arm": [PERSONALISED if key > 0 else HOLDOUT for key in keys],
            "arm_probability": [1 - RATE if key > 0 else RATE for key in keys],
        }
    )
    rows = [
        {"customer_key": key, "outcome": "converted", "goal": "order", "value": value, "occurred_at": NOON + after,
         "received_at": NOON + after}
        for key, many in (orders or {}).items() for after, value in many
    ]  # fmt: skip
    columns = ["customer_key", "outcome", "goal", "value", "occurred_at", "received_at"]
    outcomes = pd.DataFrame(rows, columns=columns)
    for column in ("occurred_at", "received_at"):
        outcomes[column] = pd.to_datetime(outcomes[column], utc=True)
    return decisions, outcomes


def a_question(**changes: object) -> HoldoutQuestion:
    usual: dict[str, Any] = {"goal": "order", "window_days": 7.0, "as_of": NOON + 30 * DAY, "margin_rate": 0.4}
    return HoldoutQuestion(**(usual | changes))


def orders_of(n_personalised: int, n_holdout: int) -> dict[int, list[tuple[timedelta, float]]]:
    keys = [*range(1, n_personalised + 1), *range(-1, -n_holdout - 1, -1)]
    return {key: [(DAY, 100.0 + abs(key))] for key in keys}


def test_the_uplift_is_the_difference_of_the_arms_rates() -> None:
    analysis = analyse_holdout(*a_ledger(orders=orders_of(80, 10)), question=a_question())
    assert isinstance(analysis.conversion.absolute, Estimate)
    assert isinstance(analysis.conversion.relative, Estimate)
    assert analysis.conversion.absolute.value == pytest.approx(80 / 400 - 10 / 100)
    assert analysis.conversion.relative.value == pytest.approx((80 / 400) / (10 / 100) - 1)
    assert analysis.method == "fixed-horizon"


def test_money_is_revenue_a_customer_and_margin_is_its_share() -> None:
    analysis = analyse_holdout(*a_ledger(orders=orders_of(80, 10)), question=a_question())
    revenue = sum(100 + key for key in range(1, 81)) / 400 - sum(100 + key for key in range(1, 11)) / 100
    assert isinstance(analysis.revenue.absolute, Estimate)
    assert isinstance(analysis.margin.absolute, Estimate)
    assert isinstance(analysis.margin_earned, Estimate)
    assert analysis.revenue.absolute.value == pytest.approx(revenue)
    assert analysis.margin.absolute.value == pytest.approx(revenue * 0.4)
    assert analysis.margin_earned.value == pytest.approx(revenue * 0.4 * 400)


def test_two_orders_of_one_customer_are_one_success_with_the_sum_of_their_values() -> None:
    analysis = analyse_holdout(*a_ledger(orders={1: [(DAY, 100.0), (2 * DAY, 50.0)]}), question=a_question())
    assert analysis.personalised.n_converted == 1
    assert analysis.personalised.revenue_per_customer == pytest.approx(150 / 400)


@pytest.mark.parametrize(
    ("after", "counts"),
    [(timedelta(0), 1), (7 * DAY - timedelta(microseconds=1), 1), (7 * DAY, 0), (-timedelta(seconds=1), 0)],
)
def test_the_window_is_half_open_from_the_first_decision(after: timedelta, counts: int) -> None:
    analysis = analyse_holdout(*a_ledger(orders={1: [(after, 100.0)]}), question=a_question())
    assert analysis.personalised.n_converted == counts


def test_an_order_of_another_goal_or_another_outcome_does_not_count() -> None:
    decisions, outcomes = a_ledger(orders={1: [(DAY, 1.0)], 2: [(DAY, 1.0)]})
    outcomes.loc[0, "goal"] = "subscribe"
    outcomes.loc[1, "outcome"] = "clicked"
    assert analyse_holdout(decisions, outcomes, question=a_question()).personalised.n_converted == 0


def test_what_was_received_after_as_of_is_not_known() -> None:
    decisions, outcomes = a_ledger(orders={1: [(DAY, 1.0)]})
    outcomes["received_at"] = pd.to_datetime([NOON + 40 * DAY], utc=True)
    assert analyse_holdout(decisions, outcomes, question=a_question()).personalised.n_converted == 0


def test_only_customers_whose_window_has_closed_count() -> None:
    late = {1: 25 * DAY, -1: 25 * DAY}
    orders = {1: [(26 * DAY, 1.0)]}
    analysis = analyse_holdout(*a_ledger(orders=orders, decided_after=late), question=a_question())
    assert (analysis.personalised.n_customers, analysis.personalised.n_closed) == (400, 399)
    assert (analysis.holdout.n_customers, analysis.holdout.n_closed) == (100, 99)
    assert analysis.personalised.n_converted == 0
    assert analysis.next_window_closes_at == NOON + 32 * DAY


def test_a_window_that_closes_at_as_of_is_closed() -> None:
    analysis = analyse_holdout(*a_ledger(), question=a_question(as_of=NOON + 7 * DAY))
    assert analysis.personalised.n_closed == 400


def test_no_closed_window_says_when_the_first_will_close() -> None:
    analysis = analyse_holdout(*a_ledger(), question=a_question(as_of=NOON + 3 * DAY))
    reason = analysis.conversion.absolute
    assert isinstance(reason, NotEstimable)
    assert reason.code == "no_closed_window"
    assert "The first closes at 2026-03-08 12:00 UTC" in reason.reason


def test_a_later_decision_in_the_same_arm_does_not_move_the_window() -> None:
    decisions, outcomes = a_ledger(orders={1: [(10 * DAY, 1.0)]})
    again = decisions.assign(decided_at=NOON + 9 * DAY)
    analysis = analyse_holdout(pd.concat([again, decisions]), outcomes, question=a_question())
    assert analysis.personalised.n_converted == 0
    assert analysis.personalised.n_customers == 400


def test_since_and_placement_choose_the_decisions() -> None:
    decisions, outcomes = a_ledger()
    banner = decisions.assign(decided_at=NOON + 9 * DAY, placement="web_banner").head(50)
    both = pd.concat([decisions, banner])
    assert analyse_holdout(both, outcomes, question=a_question(placement="web_banner")).personalised.n_customers == 50
    assert analyse_holdout(both, outcomes, question=a_question(since=NOON + DAY)).personalised.n_customers == 50


def test_nothing_decided_yet_is_a_reason() -> None:
    decisions, outcomes = a_ledger(n_personalised=0, n_holdout=0)
    reason = analyse_holdout(decisions, outcomes, question=a_question()).conversion.absolute
    assert isinstance(reason, NotEstimable)
    assert reason.code == "no_decisions"


def test_too_few_held_out_customers_are_a_reason_with_the_count() -> None:
    analysis = analyse_holdout(*a_ledger(n_personalised=60, n_holdout=12), question=a_question())
    assert isinstance(analysis.conversion.absolute, NotEstimable)
    assert "12 holdout customers" in analysis.conversion.absolute.reason
    assert "at least 30" in analysis.conversion.absolute.reason


def test_a_sample_ratio_mismatch_gives_a_warning_and_no_uplift() -> None:
    analysis = analyse_holdout(*a_ledger(n_personalised=400, n_holdout=50), question=a_question())
    assert isinstance(analysis.conversion.absolute, NotEstimable)
    assert analysis.conversion.absolute.code == "sample_ratio_mismatch"
    assert "50 of 450 customers are held out where 90 were expected" in analysis.warnings[0]


def test_without_a_holdout_there_is_nobody_to_compare_with() -> None:
    decisions, outcomes = a_ledger(n_holdout=0)
    analysis = analyse_holdout(decisions.assign(arm_probability=1.0), outcomes, question=a_question())
    assert isinstance(analysis.conversion.absolute, NotEstimable)
    assert analysis.conversion.absolute.code == "no_holdout"


def test_a_goal_without_a_value_has_a_rate_and_no_money() -> None:
    analysis = analyse_holdout(*a_ledger(orders=orders_of(80, 10)), question=a_question(margin_rate=None))
    assert isinstance(analysis.conversion.absolute, Estimate)
    assert isinstance(analysis.revenue.absolute, NotEstimable)
    assert analysis.revenue.absolute.code == "goal_has_no_value"


def test_customers_seen_in_both_arms_count_in_their_first_and_are_warned_about() -> None:
    decisions, outcomes = a_ledger()
    switched = decisions.head(20).assign(arm=HOLDOUT, arm_probability=RATE, decided_at=NOON + DAY)
    analysis = analyse_holdout(pd.concat([decisions, switched]), outcomes, question=a_question())
    assert analysis.personalised.n_customers == 400
    assert "20 customers were decided for in both arms" in analysis.warnings[0]


def test_a_changed_holdout_rate_is_warned_about_with_the_instant_it_changed() -> None:
    later = dict.fromkeys([*range(201, 401), *range(-100, -50)], 2 * DAY)
    decisions, outcomes = a_ledger(decided_after=later)
    early = decisions["decided_at"] < NOON + DAY
    rate = early.map({True: 0.2, False: 0.25})
    decisions["arm_probability"] = rate.where(decisions["arm"] == HOLDOUT, 1 - rate)
    analysis = analyse_holdout(decisions, outcomes, question=a_question())
    assert "different rates (0.2, 0.25)" in analysis.warnings[0]
    assert "--since 2026-03-03T12:00:00" in analysis.warnings[0]
    since = analyse_holdout(decisions, outcomes, question=a_question(since=NOON + 2 * DAY))
    assert since.warnings == ()
    assert since.changed_rate is None


def test_the_analysis_is_valid_json_for_programs() -> None:
    for ledger in (a_ledger(orders=orders_of(80, 10)), a_ledger(n_personalised=0, n_holdout=0)):
        text = json.dumps(as_dictionary(analyse_holdout(*ledger, question=a_question())), allow_nan=False)
        assert json.loads(text)["method"] == "fixed-horizon"


def decided(world: ReportWorld, *, at: datetime) -> None:
    world.decide(range(1, 501), at=at, orders=lambda key: 500.0 if key % 7 == 0 or key % 10 == 0 else None)


def test_the_workspaces_own_window_and_margin_are_the_defaults(report_world: ReportWorld) -> None:
    decided(report_world, at=NOON)
    analysis = analyse_workspace(report_world.workspace, as_of=NOON + 30 * DAY)
    assert analysis.question.window_days == 7
    assert analysis.question.margin_rate is not None
    assert analysis.holdout.n_closed == 100


def test_a_ledger_whose_clock_is_ahead_is_analysed_at_its_newest_record(report_world: ReportWorld) -> None:
    ahead = datetime.now(UTC) + 60 * DAY
    decided(report_world, at=ahead)
    assert analyse_workspace(report_world.workspace).question.as_of > ahead


def test_asking_does_not_create_a_database(report_world: ReportWorld) -> None:
    analyse_workspace(report_world.workspace)
    assert not report_world.workspace.database.exists()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"goal": "ordr"}, "Closest: 'order'"),
        ({"placement": "chat_replay"}, "Closest: 'chat_reply'"),
        ({"window_days": 0}, "longer than 0 days"),
    ],
)
def test_a_question_that_the_brand_cannot_answer_says_what_to_ask(
    report_world: ReportWorld, asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(CallersMistake, match=told):
        analyse_workspace(report_world.workspace, **asked)


def test_the_command_prints_a_table_and_json(report_world: ReportWorld) -> None:
    from experiments.cli import experiment

    decided(report_world, at=NOON)
    arguments = ["analyse", "holdout", "--workspace", str(report_world.workspace.root), "--as-of", "2026-04-01"]
    table = CliRunner().invoke(experiment, arguments)
    assert table.exit_code == 0, table.output
    assert "fixed-horizon" in table.output
    answer = json.loads(CliRunner().invoke(experiment, [*arguments, "--json"]).output)
    assert answer["holdout"]["n_closed"] == 100
    assert answer["conversion"]["absolute_uplift"]["low"] < answer["conversion"]["absolute_uplift"]["high"]


def test_the_command_warns_loudly_when_the_arms_sizes_are_wrong(report_world: ReportWorld) -> None:
    from experiments.cli import experiment

    report_world.decide(range(1, 501), at=NOON, held_out=lambda key: key % 12 == 0)
    result = CliRunner().invoke(
        experiment, ["analyse", "holdout", "--workspace", str(report_world.workspace.root), "--as-of", "2026-04-01"]
    )
    assert "WARNING" in result.output
    assert "No uplift can be estimated" in result.output


def test_people_who_were_drawn_twice_are_left_out_in_whichever_arms_they_were() -> None:
    decisions, outcomes = a_ledger(orders=orders_of(80, 10))
    keys = decisions.set_index("customer_key")["arm"]
    personalised, held_out = (keys.index[keys == arm].tolist() for arm in ("personalised", "holdout"))
    merges = [
        Merge(from_key=held_out[0], into_key=personalised[0], merged_at_us=1),
        Merge(from_key=personalised[1], into_key=personalised[2], merged_at_us=2),
    ]
    apart = analyse_holdout(decisions, outcomes, question=a_question())
    joined = analyse_holdout(decisions, outcomes, question=a_question(), merges=merges)
    assert joined.left_out == LeftOut(n_two_arms=1, n_one_arm=1)
    assert joined.personalised.n_customers == apart.personalised.n_customers - 3
    assert joined.holdout.n_customers == apart.holdout.n_customers - 1
    assert any("1 customers turned out to be joined of two arms" in warning for warning in joined.warnings)


def test_an_order_under_the_users_key_is_the_devices_success_once_they_are_one() -> None:
    new_key = 10_000
    decisions, outcomes = a_ledger(orders={new_key: [(DAY, 100.0)]})
    device = int(decisions.loc[decisions["arm"] == "personalised", "customer_key"].iloc[0])
    assert analyse_holdout(decisions, outcomes, question=a_question()).personalised.n_converted == 0
    merges = [Merge(from_key=device, into_key=new_key, merged_at_us=1)]
    joined = analyse_holdout(decisions, outcomes, question=a_question(), merges=merges)
    assert joined.personalised.n_converted == 1
    assert not joined.left_out


def test_a_join_is_known_from_its_instant_on(report_world: ReportWorld) -> None:
    report_world.decide([1, 2], at=NOON, held_out=lambda key: key == 2)
    with closing(connect(report_world.workspace.database)) as connection:
        identity = IdentityTable(connection)
        identity.keys_for(["ana"])
        identity.key_or_new("device", "anonymous")
        merged_at = NOON + 2 * DAY
        identity.join(user_id="ana", anonymous_id="device", at_us=instant_us(merged_at))
    before = analyse_workspace(report_world.workspace, as_of=merged_at)
    after = analyse_workspace(report_world.workspace, as_of=merged_at + timedelta(seconds=1))
    assert not before.left_out
    assert after.left_out == LeftOut(n_two_arms=1)


@pytest.mark.parametrize("days", [0.0, float("nan"), 1e300])
def test_a_window_of_no_length_or_of_millennia_is_refused(report_world: ReportWorld, days: float) -> None:
    with pytest.raises(CallersMistake, match="longer than 0 days and at most 3,650"):
        analyse_workspace(report_world.workspace, window_days=days)
