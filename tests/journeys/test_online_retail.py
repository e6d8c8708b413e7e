"""A real shop's export goes in; a message comes out over HTTP, for a known and for an unknown customer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.journeys.shop import Shop, script_of

MAPPINGS = REPOSITORY / "docs" / "mappings"
AS_OF = "2011-12-10"
A_CUSTOMER = 14911  # their most frequent buyer


@pytest.fixture(scope="module")
def shop(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop.opened(
        tmp_path_factory.mktemp("online-retail") / "shop",
        currency="GBP",
        time_zone="Europe/London",
        horizons_days=(90,),
    )
    orders = a_third_of(shared_data / "online_retail" / "online_retail.parquet", into=tmp_path_factory.mktemp("export"))
    shop.run_in_turn(
        ("import", str(orders), "--mapping", str(MAPPINGS / "online_retail.yaml")),
        ("check",),
        ("features", "build", "--as-of", AS_OF),
        ("train", "all", "--as-of", AS_OF),
        ("features", "materialize", "--as-of", AS_OF),
        ("score", "--as-of", AS_OF),
    )
    return shop


def a_third_of(export: Path, *, into: Path) -> Path:
    """A year's orders, enough for 90 days ahead, of every third customer: tests/features imports all of them."""
    orders = pq.read_table(export)
    customers = orders["CustomerID"].to_numpy()  # NaN where it is not known
    pq.write_table(orders.filter(pa.array(customers % 3 == A_CUSTOMER % 3)), into / export.name)
    return into / export.name


def test_a_known_customer_gets_a_decision_that_rests_on_their_orders(shop: Shop) -> None:
    with shop.served("--workers", "1", "--clock", f"{AS_OF}T09:00:00Z") as client:
        known = client.get(f"/v1/customers/{A_CUSTOMER}")
        assert known.status_code == 200, known.text
        answer = client.post(
            "/v1/decisions",
            json={"customer_id": str(A_CUSTOMER), "placement": "chat_reply", "channel": "whatsapp", "locale": "hi-IN"},
        ).json()
        stranger = client.post(
            "/v1/decisions",
            json={"customer_id": "never seen", "placement": "chat_reply", "channel": "line", "locale": "th-TH"},
        ).json()
    assert answer["fallback_reason"] is None
    assert answer["stage"] == "loyalty"
    assert answer["segment"]["id"]
    assert 0.5 < answer["purchase_propensity"]["90d"] <= 1.0
    assert script_of("hi").search(answer["message"]["body"])
    assert stranger["fallback_reason"] == "unknown_customer"
    assert stranger["message"]["locale"] == "th"
    assert script_of("th").search(stranger["message"]["body"])


def test_marketers_and_data_scientists_are_served_too(shop: Shop, tmp_path: Path) -> None:
    shop.run("report", "--out", str(tmp_path / "report"))
    assert "<svg" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "No uplift can be estimated" in shop.run("experiment", "analyse", "holdout")
