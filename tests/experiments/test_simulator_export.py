from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments.simulator.calendar import festivals, season
from experiments.simulator.campaigns import PROBABILITIES
from experiments.simulator.export import Export, simulate_history
from experiments.simulator.kinds import GIFT_GIVER, LOYAL_REFILLER
from experiments.simulator.mapping import MAPPING
from experiments.simulator.tables import EVENTS
from features.brand import Brand
from features.faults import CallersMistake
from features.importing.mapping_file import load_mapping
from features.validation import validate
from features.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
END = dt.date(2026, 11, 1)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return simulate_history(tmp_path_factory.mktemp("brand"), customers=3_000, days=548, seed=5, end=END)


@pytest.fixture
def events(export: Export) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    connection.execute(f"CREATE VIEW events AS SELECT * FROM '{export.events}'")
    return connection


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return float(row[0])


def small(folder: Path, **changes: int) -> Export:
    return simulate_history(folder, **{"customers": 200, "days": 60, "seed": 1, **changes}, end=END)  # type: ignore[arg-type]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (small(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert sha256(first.events) == sha256(again.events) != sha256(other.events)
    assert sha256(first.folder / "truth" / "world.npz") == sha256(again.folder / "truth" / "world.npz")


def test_every_row_lies_within_the_history(events: duckdb.DuckDBPyConnection, export: Export) -> None:
    outside = f"SELECT count(*) FROM events WHERE time < '{export.first} 00:00:00+00' OR time >= '{END} 00:00:00+00'"
    assert one(events, outside) == 0
    assert one(events, "SELECT count(*) FROM events") == export.n_events
    assert one(events, "SELECT count(*) - count(DISTINCT message_id) FROM events") == 0


def test_every_kind_of_event_is_there_in_plausible_shares(events: duckdb.DuckDBPyConnection) -> None:
    n = dict(events.execute("SELECT event, count(*) FROM events GROUP BY 1").fetchall())
    assert set(n) == set(EVENTS) - {"Message Replied"}  # replies come in the weeks that are played
    n_orders = one(events, "SELECT count(DISTINCT order_id) FROM events WHERE event = 'Order Completed'")
    assert n["Product Viewed"] > n["Product Added"] > n_orders > n["Order Refunded"] > 0
    assert n["Message Sent"] > n["Message Opened"] > n["Message Clicked"] > 0
    assert n["Ad Viewed"] > n["Ad Clicked"] > 0
    assert n["Consent Given"] > n["Consent Withdrawn"] > 0
    assert n["identify"] == 3_000


def test_some_buy_again_and_some_never_buy(events: duckdb.DuckDBPyConnection) -> None:
    events.execute(
        "CREATE TABLE buyers AS SELECT customer_id, count(DISTINCT order_id) AS n_orders FROM events "
        "WHERE event = 'Order Completed' GROUP BY 1"
    )
    repeat_rate = one(events, "SELECT avg((n_orders > 1)::INT) FROM buyers")
    assert 0.35 < repeat_rate < 0.75
    assert 0.5 < one(events, "SELECT count(*) / 3000 FROM buyers") < 0.9


def test_an_orders_total_is_what_its_lines_cost(events: duckdb.DuckDBPyConnection) -> None:
    difference = (
        "SELECT max(abs(total - paid)) FROM (SELECT any_value(total) AS total, sum(price * quantity) AS paid "
        "FROM events WHERE event = 'Order Completed' GROUP BY order_id)"
    )
    assert one(events, difference) < 0.01


def test_indians_buy_most_before_diwali(events: duckdb.DuckDBPyConnection) -> None:
    # Diwali is on 2025-10-20 and on 2026-11-08; orders of customers who were known all through the autumn of 2025.
    n = "count(DISTINCT order_id) FILTER (time::DATE BETWEEN '{}' AND '{}')"
    before, after = n.format("2025-10-01", "2025-10-20"), n.format("2025-11-10", "2025-11-29")
    indian = (
        "SELECT customer_id FROM events WHERE event = 'identify' AND time_zone = 'Asia/Kolkata' AND time < '2025-08-01'"
    )
    share = one(events, f"SELECT {before} / {after} FROM events WHERE customer_id IN ({indian})")
    assert share > 1.2


def test_festivals_move() -> None:
    found = festivals("IN", first=dt.date(2024, 1, 1), last=dt.date(2026, 12, 31))
    diwali = [festival.on for festival in found if festival.name == "Diwali"]
    assert [day.year for day in diwali] == [2024, 2025, 2026]
    assert diwali[1:] == [dt.date(2025, 10, 20), dt.date(2026, 11, 8)]
    easter = [
        f.on for f in festivals("GB", first=dt.date(2025, 1, 1), last=dt.date(2026, 12, 31)) if f.name == "Easter"
    ]
    assert easter == [dt.date(2025, 4, 20), dt.date(2026, 4, 5)]
    songkran = [f.on for f in festivals("TH", first=dt.date(2026, 1, 1), last=dt.date(2026, 6, 1))]
    assert songkran == [dt.date(2026, 4, 13)]


def test_a_festival_moves_gift_givers_more_than_refillers() -> None:
    seasons = season(dt.date(2026, 10, 1), n_days=60)
    eve, quiet = 33, 57  # 2026-11-03, five days before Diwali; 2026-11-27, long after
    in_india = [kind * 3 for kind in (GIFT_GIVER, LOYAL_REFILLER)]
    gift_giver, refiller = seasons.factor[eve, in_india] / seasons.factor[quiet, in_india]
    assert gift_giver > 4.0 > 2.0 > refiller
    assert seasons.is_festive[eve, 0]
    assert not seasons.is_festive[quiet, 1]


def test_the_campaign_was_randomised_with_the_probabilities_that_it_logs(events: duckdb.DuckDBPyConnection) -> None:
    rows = events.execute(
        "SELECT action_id, min(action_probability), max(action_probability), count(*), min(arm) FROM events "
        "WHERE campaign = 'glow_again' AND event = 'Message Sent' GROUP BY 1"
    ).fetchall()
    n = sum(row[3] for row in rows)
    assert {row[0] for row in rows} == set(PROBABILITIES)
    for action, lowest, highest, count, arm in rows:
        probability = PROBABILITIES[action]
        assert lowest == highest == probability
        assert abs(count / n - probability) < 4 * (probability * (1 - probability) / n) ** 0.5
        assert arm == ("control" if action == "nothing" else "treatment")


def test_answers_have_gaps_and_contradictions(events: duckdb.DuckDBPyConnection) -> None:
    answered = "SELECT customer_id, count(DISTINCT trait) AS n FROM events WHERE event = 'Question Answered' GROUP BY 1"
    assert 0.3 < one(events, f"SELECT count(*) / 3000 FROM ({answered})") < 0.8
    assert one(events, f"SELECT avg((n < 6)::INT) FROM ({answered})") > 0.5
    two_minds = (
        "SELECT count(*) FROM (SELECT customer_id FROM events WHERE trait = 'skin_need' "
        "GROUP BY 1 HAVING count(DISTINCT answer) > 1)"
    )
    assert one(events, two_minds) > 10
    # Some who say "premium" buy cheap.
    events.execute(
        "CREATE TABLE said AS SELECT DISTINCT customer_id FROM events "
        "WHERE trait = 'price_preference' AND answer = 'premium'"
    )
    contradicted = (
        "SELECT count(*) FROM (SELECT customer_id FROM events JOIN said USING (customer_id) "
        "WHERE event = 'Order Completed' GROUP BY 1 HAVING avg(price) < 500)"
    )
    assert one(events, contradicted) > 5


def test_the_mapping_in_the_documentation_is_the_one_written(export: Export) -> None:
    written = export.mapping.read_text(encoding="utf-8")
    assert written == MAPPING == (ROOT / "docs" / "mappings" / "simulator.yaml").read_text(encoding="utf-8")
    brand, faults = validate(read_yaml(ROOT / "features" / "starter" / "brand.yaml"), Brand)
    assert brand is not None, faults
    mapping = load_mapping(export.mapping, brand).mapping
    columns = set(pq.read_schema(export.events).names)
    assert {"customer_id", "time", "message_id", "action_probability"} <= columns
    assert mapping.events


def test_the_verb_writes_an_export(tmp_path: Path) -> None:
    import typer

    from experiments.simulator.cli import simulate

    app = typer.Typer()
    app.command()(simulate)
    words = ["--out", str(tmp_path / "out"), "--customers", "50", "--days", "40", "--end", "2026-11-01"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert "50 customers from 2026-09-22 until 2026-11-01" in told.output
    assert (tmp_path / "out" / "events.parquet").is_file()
    assert (tmp_path / "out" / "mapping.yaml").is_file()


def test_sizes_out_of_range_are_refused_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake) as refused:
        small(tmp_path, days=5, customers=0, seed=-1)
    told = str(refused.value)
    assert "customers=0 and days=5 and seed=-1. --customers lies in 1 … 5,000,000; --days lies in 30 … 3,650" in told
    with pytest.raises(CallersMistake, match=r"with days=5\. --days lies in 30"):
        small(tmp_path, days=5)
    for end in (dt.date(2, 1, 1), dt.date(9999, 12, 31)):
        with pytest.raises(CallersMistake, match=f"before {end}. All of them lie from 1990-01-01 until 2100-01-01"):
            simulate_history(tmp_path, customers=1, days=30, end=end)
    assert not any(tmp_path.iterdir())
