"""What was said beside what came: only once it can have come, and only where it was said before."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from features.brand import Brand
from features.database import connect
from features.identity import IdentityTable
from features.lake import instant_us
from features.workspace import Workspace
from training.artifact import NextPurchaseModel, SegmentsModel
from training.drift.assigned import outcomes_of_segments
from training.drift.outcomes import (
    Scores,
    newest_of_champion,
    outcome_of_rewards,
    outcomes_of_scores,
    verdict_of_level,
    verdict_of_rates,
)
from training.drift.report import reasons_of, status_of
from training.drift.scored_days import scores_to_judge
from training.segments import TrainedSegments, train_segments

if TYPE_CHECKING:
    from tests.training.conftest import TinyWorld


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., TinyWorld]) -> TinyWorld:
    return tiny_world(n_customers=600, days=400)


def a_brand() -> Brand:
    return Brand.model_validate_json(
        """{"name": "Tiny", "time_zone": "UTC", "currency": "EUR", "default_locale": "en",
        "locales": {"en": {"name": "Tiny"}}, "goals": {"order": {"event": "Order Completed"}},
        "traits": {"skin_need": {"kind": "need", "type": "choice", "choices": ["dryness", "acne", "dullness"]}},
        "channels": {"web": {"kind": "web", "consent": "session", "body_limit": 500}},
        "placements": {"banner":
            {"initiated_by": "customer", "channels": ["web"], "baseline": "b", "fallback": "b"}}}"""
    )


def days_before_the_end(world: TinyWorld, days: float) -> datetime:
    return world.known_until - timedelta(days=days)


def rates(world: TinyWorld, *, times: float = 1.0) -> NDArray[np.float64]:
    """The truth of who orders within 30 days, or that many times as much."""
    per_day = np.where(world.keen, 1 / 8, 1 / 90)
    return np.asarray(np.minimum(times * (1.0 - np.exp(-30 * per_day)), 0.999))


def scores(
    world: TinyWorld, as_of: datetime, *, times: float = 1.0, version: str = "v2", trained: datetime | None = None
) -> Scores:
    keys = np.arange(1, 601, dtype=np.int64)
    return Scores(as_of, version, trained or as_of - timedelta(days=1), keys, {30: rates(world, times=times)})


def test_what_is_right_is_calibrated_and_what_is_wrong_is_off(world: TinyWorld) -> None:
    at = days_before_the_end(world, 40)
    right, wrong = (
        outcomes_of_scores(world, [scores(world, at, times=times)], champion="v2")[0] for times in (1.0, 0.4)
    )
    assert (right.verdict, wrong.verdict) == ("calibrated", "off")
    assert right.low < right.said < right.high
    assert not wrong.low < wrong.said < wrong.high
    assert reasons_of([], [right]) == ()
    reason = reasons_of([], [wrong])[0]
    assert (reason.code, reason.then, reason.now) == ("off", wrong.said, wrong.came)
    assert status_of([], [wrong], [reason]) == "retrain"


def test_a_wrong_model_is_found_only_on_the_day_its_window_closes(world: TinyWorld) -> None:
    """`happened` itself refuses to look past what is known: nothing of an open window is asked for."""
    open_still, closed = (scores(world, days_before_the_end(world, days), times=0.4) for days in (29.9, 30))
    assert outcomes_of_scores(world, [open_still], champion="v2") == []
    assert [one.verdict for one in outcomes_of_scores(world, [closed], champion="v2")] == ["off"]


def test_what_was_said_of_a_day_before_the_training_does_not_count(world: TinyWorld) -> None:
    """`rapport score --as-of` of a past day asks a version that had seen what came."""
    at = days_before_the_end(world, 60)
    seen = scores(world, at, trained=at + timedelta(days=1))
    assert outcomes_of_scores(world, [seen], champion="v2") == []


def test_only_the_champions_newest_promise_is_a_reason(world: TinyWorld) -> None:
    days = [
        scores(world, days_before_the_end(world, 120), times=0.4, version="v1"),
        scores(world, days_before_the_end(world, 90), times=0.4),
        scores(world, days_before_the_end(world, 60)),
    ]
    found = outcomes_of_scores(world, days, champion="v2")
    assert [(one.version, one.verdict) for one in found] == [("v1", "off"), ("v2", "off"), ("v2", "calibrated")]
    assert reasons_of([], newest_of_champion(found)) == ()
    assert reasons_of([], newest_of_champion(found[:1])) == ()  # a version before it is no reason to train this one
    assert len(reasons_of([], newest_of_champion(found[:2]))) == 1


def test_of_few_who_were_expected_nothing_is_said() -> None:
    y = np.zeros(200, dtype=np.uint8)
    assert verdict_of_rates(y, np.full(200, 0.09)) == ((None, None), "too_few")
    assert verdict_of_rates(y, np.full(200, 0.5))[1] == "off"


@pytest.mark.parametrize(
    ("said", "n", "n_came"),
    [
        (0.001, 1_500, 600),
        (0.0, 1_500, 30),
        (0.15, 100, 90),
        (0.99, 1_500, 750),
        (1.0, 1_500, 1_000),
        (0.01, 1_500, 40),
    ],
)
def test_many_where_few_were_expected_are_not_too_few(said: float, n: int, n_came: int) -> None:
    y = (np.arange(n) < n_came).astype(np.uint8)
    assert verdict_of_level(y, np.full(n, said)) == "off"
    assert verdict_of_rates(y, np.full(n, said))[1] == "off"


def test_some_more_than_the_few_who_were_expected_prove_nothing() -> None:
    y = (np.arange(1_500) < 26).astype(np.uint8)
    assert verdict_of_level(y, np.full(1_500, 0.01)) == "calibrated"
    assert verdict_of_level(1 - y, np.full(1_500, 0.99)) == "calibrated"


@pytest.mark.parametrize("expected", [3.0, 12.0, 18.0, 25.0])
def test_few_who_were_rightly_expected_are_hardly_ever_called_off(expected: float) -> None:
    alarms, rng = 0, np.random.default_rng(int(expected))
    for _ in range(1_000):
        said = rng.beta(0.3, 20.0, 1_200)
        said *= expected / said.sum()
        y = (rng.random(1_200) < said).astype(np.uint8)
        alarms += verdict_of_rates(y, said)[1] == "off"
    assert alarms <= 6  # of the level and the slope together; P(more than 6 at two in a thousand) is 0.005


def test_probabilities_that_are_right_are_hardly_ever_called_off() -> None:
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        said = rng.beta(1.0, 4.0, 400)
        y = (rng.random(400) < said).astype(np.uint8)
        alarms += verdict_of_rates(y, said)[1] == "off"
    assert alarms <= 4


def test_a_level_that_is_right_with_the_wrong_order_is_off() -> None:
    rng = np.random.default_rng(0)
    said = rng.beta(1.0, 4.0, 4_000)
    y = (rng.random(4_000) < rng.permutation(said)).astype(np.uint8)
    (slope, error), verdict = verdict_of_rates(y, said)
    assert verdict == "off"
    assert slope is not None
    assert error is not None
    assert abs(slope) < 0.2 < 1.0 - 3.3 * error


@pytest.mark.parametrize(("times", "verdict"), [(1.0, "calibrated"), (2.0, "off")])
def test_earned_rewards_are_held_against_expected_ones(times: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    said = rng.uniform(1.0, 3.0, 3_000)
    came = np.where(rng.random(3_000) < 0.25, said * 4, 0.0)
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    customers = np.arange(3_000)
    told = outcome_of_rewards(said * times, came, customers, said_at=at, until=at, version="v")
    assert told.verdict == verdict
    assert told.low < told.came < told.high


def test_one_customers_many_decisions_are_no_proof() -> None:
    """The same rewards, of 3,000 customers and of 250: what 250 show is wider, and says less."""
    rng = np.random.default_rng(1)
    whose = np.repeat(np.arange(250), 12)
    came = rng.exponential(2.0, 250)[whose]
    said = np.full(3_000, 1.27 * came.mean())
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    each = outcome_of_rewards(said, came, np.arange(3_000), said_at=at, until=at, version="v")
    clustered = outcome_of_rewards(said, came, whose, said_at=at, until=at, version="v")
    assert each.came == clustered.came
    assert clustered.high - clustered.low > 3 * (each.high - each.low)
    assert (each.verdict, clustered.verdict) == ("off", "calibrated")


def money(said: NDArray[np.float64], came: NDArray[np.float64]) -> str:
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return outcome_of_rewards(said, came, np.arange(len(said)), said_at=at, until=at, version="v").verdict


@pytest.mark.parametrize(("n", "share", "sigma"), [(1_000, 0.5, 1.5), (4_000, 0.06, 1.0)])
def test_heavy_tailed_baskets_that_were_rightly_expected_are_hardly_ever_called_off(
    n: int, share: float, sigma: float
) -> None:
    """With an error that only the rewards themselves tell, 17 and 5 of a thousand would be."""
    alarms, looks, rng = 0, 1_500, np.random.default_rng(0)
    for _ in range(looks):
        came = np.where(rng.random(n) < share, rng.lognormal(-(sigma**2) / 2, sigma, n), 0.0)
        alarms += money(np.full(n, share), came) == "off"
    assert alarms <= 5  # P(more than 5 of 1,500 at one in a thousand) is 0.004


@pytest.mark.parametrize(("times", "at_least"), [(2.0, 80), (5.0, 98), (0.5, 80)])
def test_heavy_tailed_baskets_that_were_wrongly_expected_mostly_are(times: float, at_least: int) -> None:
    found, rng = 0, np.random.default_rng(0)
    for _ in range(100):
        came = np.where(rng.random(2_000) < 0.5, rng.lognormal(-1.125, 1.5, 2_000), 0.0)
        found += money(np.full(2_000, 0.5 * times), came) == "off"
    assert found >= at_least


def test_fewer_earners_than_show_the_large_ones_are_too_few() -> None:
    came = np.zeros(5_000)
    came[:199] = 40.0
    assert money(np.full(5_000, 9.0), came) == "too_few"
    came[199] = 40.0
    assert money(np.full(5_000, 9.0), came) == "off"


def test_what_cost_as_much_as_was_said_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    came = -rng.exponential(0.5, 5_000)
    assert money(np.full(5_000, 1.04 * came.mean()), came) == "calibrated"
    assert money(np.full(5_000, 2.0 * came.mean()), came) == "off"
    assert money(np.full(5_000, -came.mean()), came) == "off"


def test_a_cost_each_and_a_sale_now_and_then_are_judged() -> None:
    """Their logarithms lie in two heaps, and tell of no tail."""
    rng = np.random.default_rng(0)
    came = np.where(rng.random(8_000) < 0.3, 20.0, -0.01)
    assert money(np.full(8_000, 6.0), came) == "calibrated"
    assert money(np.full(8_000, 9.0), came) == "off"


class Champion(NextPurchaseModel):
    """Says the truth of a tiny world within 30 days."""

    def __init__(self, world: TinyWorld, *, trained_at: datetime) -> None:
        self.world, self.version, self.horizons_days = world, "v2", (30,)
        self.description = {"as_of": trained_at.isoformat()}

    def predict(self, X: object) -> NDArray[np.float64]:
        return rates(self.world)[:, np.newaxis]


def write_scores(workspace: Workspace, at: datetime, *, version: str = "v2") -> None:
    folder = workspace.lake / "scores" / f"day={at:%Y-%m-%d}"
    folder.mkdir(parents=True)
    table = {
        "customer_key": np.arange(1, 601, dtype=np.int64),
        "as_of": pa.array([at.replace(tzinfo=None)] * 600, pa.timestamp("us")),
        "purchase_propensity_30d": np.full(600, 0.5),
        "next_purchase_version": [version] * 600,
    }
    pq.write_table(pa.table(table), folder / "scores.parquet")


def test_a_month_is_judged_by_its_first_day_and_the_champion_by_its_newest_closed_one(
    world: TinyWorld, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    trained_at = days_before_the_end(world, 70)  # 2023-11-27; what is known ends on 2024-02-05
    for days in (100, 95, 85):  # the end of October, two days of November
        write_scores(workspace, days_before_the_end(world, days), version="20230901-old")
    for days, version in ((68, "v2"), (60, "v2"), (40, "v2"), (10, "v2")):
        write_scores(workspace, days_before_the_end(world, days), version=version)
    chosen = scores_to_judge(world, workspace, Champion(world, trained_at=trained_at))
    found = [((world.known_until - day.as_of).days, day.version) for day in chosen]
    # The first of October, November, December and January, and 40: the champion's newest whose window is closed.
    assert found == [(100, "20230901-old"), (95, "20230901-old"), (60, "v2"), (40, "v2"), (10, "v2")]
    outcomes = outcomes_of_scores(world, chosen, champion="v2")
    assert [(world.known_until - one.said_at).days for one in outcomes] == [100, 95, 60, 40]


def test_a_champion_that_was_never_scored_is_asked_about_its_training_day(world: TinyWorld, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    young, old = (Champion(world, trained_at=days_before_the_end(world, days)) for days in (29, 31))
    assert scores_to_judge(world, workspace, young) == []
    asked = scores_to_judge(world, workspace, old)
    assert [one.verdict for one in outcomes_of_scores(world, asked, champion="v2")] == ["calibrated"]


def test_customers_who_were_joined_since_count_once(world: TinyWorld, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    at = days_before_the_end(world, 60)
    write_scores(workspace, at, version="v2")
    connection = connect(workspace.database)
    identity = IdentityTable(connection)
    keys = [identity.key_or_new("asha"), *(identity.key_or_new(f"browser {n}", "anonymous") for n in range(2))]
    for n in range(2):
        identity.join(user_id="asha", anonymous_id=f"browser {n}", at_us=instant_us(at + timedelta(days=1 + n)))
    gone = identity.key_or_new("elsewhere", "anonymous")  # joined into a customer who was not scored that day
    connection.execute(
        "INSERT INTO customer_merges (from_key, into_key, merged_at, why) VALUES (?, 9000, 0, 'alias')", [gone]
    )
    connection.commit()
    connection.close()
    assert [*keys, gone] == [1, 2, 3, 4]
    (day,) = scores_to_judge(world, workspace, Champion(world, trained_at=at - timedelta(days=1)))
    assert day.customer_keys.tolist() == [1, *range(4, 601)]
    assert len(day.probability[30]) == 598


@pytest.fixture(scope="module")
def later(tiny_world: Callable[..., TinyWorld]) -> TinyWorld:
    return tiny_world(n_customers=600, days=300)


@pytest.fixture(scope="module")
def found(tiny_world: Callable[..., TinyWorld]) -> TrainedSegments:
    """Segments that were found in the later world 100 days before."""
    then = tiny_world(n_customers=600, days=300)
    then.known_until -= timedelta(days=100)
    return train_segments(then, brand=a_brand())


def segments_model(world: TinyWorld, found: TrainedSegments, **onward: float) -> SegmentsModel:
    schema = SimpleNamespace(model_inputs=world.inputs, categories=world.categories, version="tiny")
    description = found.description | {"version": "v", "onward": found.description["onward"] | onward}
    return SegmentsModel(description, found.boosters, schema=schema)


def test_where_customers_would_be_is_held_against_where_they_are(later: TinyWorld, found: TrainedSegments) -> None:
    today, onward = outcomes_of_segments(later, segments_model(later, found))
    assert (today.horizon_days, onward.horizon_days, onward.what) == (None, 90, "the right segment 90 days later")
    assert (later.known_until - onward.said_at).days == 90
    assert onward.n == 600
    model = segments_model(later, found)
    said = model.predict_onward(later.snapshot(onward.said_at).X)
    assert said is not None
    said_then, are_now = said.argmax(axis=1), model.predict(later.snapshot(later.known_until).X).argmax(axis=1)
    assert onward.said == pytest.approx(said.max(axis=1).mean())
    assert onward.came == pytest.approx((said_then == are_now).mean(), abs=0.1)  # the assigner is not always right


def test_a_model_that_knows_less_of_where_they_go_than_comes_true_is_off(
    later: TinyWorld, found: TrainedSegments
) -> None:
    vague = segments_model(later, found, temperature=1_000.0)
    assert [one.verdict for one in outcomes_of_segments(later, vague)] == ["calibrated", "off"]


def test_before_so_many_days_have_passed_nothing_is_said_of_where_they_went(
    later: TinyWorld, found: TrainedSegments
) -> None:
    soon = copy(later)
    soon.known_until -= timedelta(days=11)
    assert [one.horizon_days for one in outcomes_of_segments(soon, segments_model(soon, found))] == [None]
