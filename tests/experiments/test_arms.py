"""What each arm of an experiment earned, beside the first one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.analysis import analyse_holdout
from experiments.arms import ArmsAnalysis, analyse_arms
from experiments.cli import experiment as verbs
from experiments.holdout_customers import HoldoutQuestion
from experiments.metrics import Estimate, NotEstimable
from experiments.records import HOLDOUT
from features.brand import Arm, Experiment, Policy
from features.merges import Merge
from tests.experiments.conftest import ReportWorld

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BOLD = Experiment(
    name="bold",
    arms={
        "calm": Arm(share=0.5, policy=Policy(name="greedy")),
        "brave": Arm(share=0.5, policy=Policy(name="squarecb")),
    },
)
QUESTION = HoldoutQuestion(goal="order", window_days=7.0, as_of=NOON + 30 * DAY, margin_rate=0.4)


def a_ledger(
    *, calm: int = 200, brave: int = 200, held_out: int = 50, orders: Callable[[int], bool] = lambda key: False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers 1, 2, … are calm, 1001, … brave and 2001, … held out; who orders does so a day later, for 100."""
    keys = [*range(1, calm + 1), *range(1001, 1001 + brave), *range(2001, 2001 + held_out)]
    arms = ["calm"] * calm + ["brave"] * brave + [HOLDOUT] * held_out
    decisions = pd.DataFrame(
        {
            "customer_key": keys,
            "decided_at": pd.to_datetime([NOON] * len(keys), utc=True),
            "placement": "chat_reply",
            "arm": arms,
            "arm_probability": [0.1 if arm == HOLDOUT else 0.9 * 0.5 for arm in arms],
            "experiment": [None if arm == HOLDOUT else "bold" for arm in arms],
            "holdout_rate": 0.1,
        }
    )
    bought = [key for key in keys if orders(key)]
    outcomes = pd.DataFrame(
        {
            "customer_key": bought,
            "outcome": "converted",
            "goal": "order",
            "value": [100.0] * len(bought),
            "occurred_at": pd.to_datetime([NOON + DAY] * len(bought), utc=True),
            "received_at": pd.to_datetime([NOON + DAY] * len(bought), utc=True),
        }
    )
    return decisions, outcomes


def the_arms(decisions: pd.DataFrame, outcomes: pd.DataFrame, merges: Sequence[Merge] = ()) -> ArmsAnalysis:
    return analyse_arms(decisions, outcomes, question=QUESTION, experiment=BOLD, merges=merges)


def a_tenth_and_a_fifth(key: int) -> bool:
    return key % 10 == 0 or (1000 < key < 2000 and key % 5 == 0)


def test_each_arm_is_beside_the_first_one() -> None:
    calm, brave = the_arms(*a_ledger(orders=a_tenth_and_a_fifth)).arms
    assert (calm.result.n_customers, calm.result.n_converted, calm.conversion) == (200, 20, None)
    assert (brave.result.n_converted, brave.policy) == (40, "squarecb")
    assert brave.conversion is not None
    assert brave.margin is not None
    assert isinstance(brave.conversion.absolute, Estimate)
    assert isinstance(brave.margin.absolute, Estimate)
    assert brave.conversion.absolute.value == pytest.approx(40 / 200 - 20 / 200)
    assert brave.conversion.absolute.low < 40 / 200 - 20 / 200 < brave.conversion.absolute.high
    assert brave.margin.absolute.value == pytest.approx(0.4 * (40 * 100 / 200 - 20 * 100 / 200))


def test_all_arms_together_are_the_personalised_side_of_the_holdout() -> None:
    decisions, outcomes = a_ledger(calm=200, brave=250, held_out=50, orders=a_tenth_and_a_fifth)
    analysis = analyse_holdout(decisions, outcomes, question=QUESTION)
    assert (analysis.personalised.n_customers, analysis.holdout.n_customers) == (450, 50)
    assert analysis.sample_ratio is not None
    assert analysis.sample_ratio.expected_n_holdout == pytest.approx(0.1 * 500)
    assert isinstance(analysis.conversion.absolute, Estimate)


def test_a_customer_who_enters_an_experiment_has_not_changed_sides_of_the_holdout() -> None:
    decisions, outcomes = a_ledger()
    before = decisions.assign(decided_at=NOON - DAY, experiment=None).replace(
        {"arm": {"calm": "personalised", "brave": "personalised"}}
    )
    analysis = analyse_holdout(pd.concat([before, decisions]), outcomes, question=QUESTION)
    assert analysis.warnings == ()
    assert analysis.personalised.n_customers == 400


def test_decisions_of_another_experiment_are_left_out() -> None:
    decisions, outcomes = a_ledger(orders=a_tenth_and_a_fifth)
    other = decisions.assign(experiment="earlier", decided_at=NOON - 20 * DAY)
    assert the_arms(pd.concat([other, decisions]), outcomes) == the_arms(decisions, outcomes)


def test_too_few_customers_give_a_reason_that_names_the_arm() -> None:
    _, brave = the_arms(*a_ledger(calm=40, brave=29)).arms
    assert brave.conversion is not None
    assert isinstance(brave.conversion.absolute, NotEstimable)
    assert "29 customers of arm 'brave'" in brave.conversion.absolute.reason


def test_too_few_orders_give_no_money_and_a_reason_that_names_the_arm() -> None:
    _, brave = the_arms(*a_ledger(orders=lambda key: key in (10, 20, 1010, 1020, 1030, 1040, 1050))).arms
    assert brave.revenue is not None
    assert brave.conversion is not None
    assert isinstance(brave.conversion.absolute, Estimate)
    assert isinstance(brave.revenue.absolute, NotEstimable)
    assert "2 customers of arm 'calm' reached the goal" in brave.revenue.absolute.reason


def test_arms_that_are_not_as_large_as_their_shares_give_a_warning_and_no_number() -> None:
    analysis = the_arms(*a_ledger(calm=400, brave=200, orders=a_tenth_and_a_fifth))
    conversion = analysis.arms[1].conversion
    assert conversion is not None
    assert isinstance(conversion.absolute, NotEstimable)
    assert conversion.absolute.code == "sample_ratio_mismatch_of_arms"
    assert "not as large as their shares" in analysis.warnings[0]


def test_a_customer_in_two_arms_counts_in_the_first_and_is_told_of() -> None:
    decisions, outcomes = a_ledger()
    moved = decisions.head(5).assign(arm="brave", decided_at=NOON + DAY)
    analysis = the_arms(pd.concat([decisions, moved]), outcomes)
    assert analysis.arms[0].result.n_customers == 200
    assert "5 customers were decided for in more than one arm" in analysis.warnings[0]


def test_whoever_was_drawn_under_two_keys_is_left_out() -> None:
    joined = the_arms(*a_ledger(), merges=[Merge(from_key=1, into_key=1001, merged_at_us=1)])
    assert [arm.result.n_customers for arm in joined.arms] == [199, 199]
    assert (joined.left_out.n_two_arms, joined.left_out.n_one_arm) == (1, 0)


def test_nothing_decided_yet_is_told_as_no_customers() -> None:
    decisions, outcomes = a_ledger(calm=0, brave=0)
    analysis = the_arms(decisions, outcomes)
    assert [arm.result.n_customers for arm in analysis.arms] == [0, 0]
    assert analysis.p_value is None


def an_experiment(world: ReportWorld) -> ReportWorld:
    file = world.workspace.brand_file
    arms = "{calm: {share: 0.5, policy: {name: greedy}}, brave: {share: 0.5, policy: {name: squarecb}}}"
    file.write_text(file.read_text("utf-8") + f"\nexperiment: {{name: bold, arms: {arms}}}\n", "utf-8")
    return world


def test_the_verb_prints_the_arms_and_tells_programs_the_same(report_world: ReportWorld) -> None:
    world = an_experiment(report_world)
    world.decide(
        range(1, 401),
        at=NOON,
        experiment="bold",
        arm_of=lambda key: "brave" if key % 2 else "calm",
        orders=lambda key: 100.0 if key % 10 == 1 or key % 20 == 2 else None,
    )
    root = str(world.workspace.root)
    printed = CliRunner().invoke(verbs, ["analyse", "arms", "--workspace", root])
    assert printed.exit_code == 0, printed.output
    assert "brave" in printed.output
    assert "squarecb" in printed.output
    told = json.loads(CliRunner().invoke(verbs, ["analyse", "arms", "--workspace", root, "--json"]).output)
    assert [arm["name"] for arm in told["arms"]] == ["calm", "brave"]
    assert told["arms"][0]["conversion"] is None
    assert told["arms"][1]["n_converted"] == 40  # every tenth of 400; of the 400, every fifth is held out
    assert told["arms"][1]["conversion"]["absolute_uplift"]["value"] == pytest.approx(40 / 160 - 20 / 160)


def test_a_brand_without_an_experiment_is_told_how_to_have_one(report_world: ReportWorld) -> None:
    refused = CliRunner().invoke(verbs, ["analyse", "arms", "--workspace", str(report_world.workspace.root)])
    assert refused.exit_code != 0
    assert "brand.yaml has none" in str(refused.exception)
