"""Declared profiles, offers sent at random and transactions go in; a message comes out over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.journeys.shop import Shop, script_of

MAPPINGS = REPOSITORY / "docs" / "mappings"
AS_OF = "2018-08-31"  # the mapping's epoch, and the thirty days that the data covers
A_MEMBER = "78afa995795e4d85b5d9ceeca43f5fef"
TRAITS = """\
  gender: {kind: fact, type: choice, choices: [female, male, other]}
  age: {kind: fact, type: number}
  income:"""


@pytest.fixture(scope="module")
def shop(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("starbucks") / "shop"
    shop = Shop.opened(folder, currency="USD", time_zone="America/Los_Angeles", horizons_days=(7, 90))
    brand = folder / "brand.yaml"
    brand.write_text(brand.read_text(encoding="utf-8").replace("  income:", TRAITS, 1), encoding="utf-8")
    data = an_eighth_of(shared_data / "starbucks", into=tmp_path_factory.mktemp("export"))
    told = shop.run_in_turn(
        ("import", str(data / "profile.json"), "--mapping", str(MAPPINGS / "starbucks_profile.yaml")),
        ("import", str(data / "transcript.parquet"), "--mapping", str(MAPPINGS / "starbucks_transcript.yaml")),
        ("check",),
        ("features", "build", "--as-of", AS_OF),
        ("train", "all", "--as-of", AS_OF),
        ("features", "materialize", "--as-of", AS_OF),
        ("score", "--as-of", AS_OF),
    )
    (folder / "told.txt").write_text(told, encoding="utf-8")
    return shop


def an_eighth_of(export: Path, *, into: Path) -> Path:
    """The same three files with every eighth member: the whole of them is imported in tests/features."""
    lines = (export / "profile.json").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["id"][0] in "7b"]
    (into / "profile.json").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (into / "portfolio.json").write_bytes((export / "portfolio.json").read_bytes())
    transcript = pq.read_table(export / "transcript.parquet")
    first = pc.utf8_slice_codeunits(transcript["person"].cast(pa.string()), 0, 1)
    of_kept = pc.is_in(first, pa.array(list("7b")))
    pq.write_table(transcript.filter(of_kept), into / "transcript.parquet")
    return into


def test_declared_traits_and_orders_decide_what_is_said(shop: Shop) -> None:
    with shop.served("--workers", "1", "--clock", f"{AS_OF}T09:00:00Z") as client:
        known = client.get(f"/v1/customers/{A_MEMBER}").json()
        member = client.post(
            "/v1/decisions",
            json={"customer_id": A_MEMBER, "placement": "chat_reply", "channel": "web", "locale": "en-US"},
        ).json()
        stranger = client.post(
            "/v1/decisions",
            json={"customer_id": "nobody yet", "placement": "chat_reply", "channel": "whatsapp", "locale": "hi-IN"},
        ).json()
    assert (known["declared"]["age"]["value"], known["declared"]["age"]["kind"]) == (75, "fact")
    assert member["fallback_reason"] is None
    assert member["segment"]["id"]
    assert 0.0 < member["purchase_propensity"]["7d"] < 1.0
    assert script_of("en").search(member["message"]["body"])
    assert stranger["fallback_reason"] == "unknown_customer"
    assert script_of("hi").search(stranger["message"]["body"])


def test_a_horizon_longer_than_the_history_is_refused_with_the_day_that_suffices(shop: Shop) -> None:
    told = (shop.workspace / "told.txt").read_text(encoding="utf-8")
    assert "Asked for a 90-day model" in told
    assert "train on 2019-05-01" in " ".join(told.split())
