"""Reach counts whom the contact policy keeps from a channel as a whole, by the rules that decisions keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from features.contact_policy import ContactPolicy, FrequencyCap, QuietHours
from features.database import connect
from features.snapshots import build_snapshots
from features.sync import sync
from serving.contact import store
from serving.contact.facts import Contact, Facts
from serving.contact.resting import Rest, Resting
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.engine import Engine
from serving.ledger import Ledger
from serving.reaching import reach_view
from tests.serving.erasing_world import call
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import NOON, TIP, a_brand, a_catalogue, an_action

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OFFER = an_action("offer", expected_rate=0.5, tags=("sale",))
POLICY = ContactPolicy(
    quiet_hours=(QuietHours(start="21:00", until="08:00", channels=("mail",)),),
    frequency_caps={
        "fortnight": FrequencyCap(at_most=1, rolling_days=14),
        "sales": FrequencyCap(at_most=1, rolling_days=2, tags=("sale",)),  # of some actions: no matter of the channel
    },
)


def test_only_what_holds_for_the_whole_channel_rests() -> None:
    rules = ContactRules(a_brand(contact_policy=POLICY), a_catalogue(OFFER))
    sale = Contact("d", "offer", "mail", ("sale",), "brand", to_us(NOON - 13 * DAY), to_us(NOON - 13 * DAY))
    rested = rules.rests("mail", Facts(contacts=(sale,)), at=NOON)
    assert rested is not None
    assert (rested.rule, rested.until_us) == ("frequency_cap", to_us(NOON + DAY))
    assert rules.rests("mail", Facts(contacts=(sale._replace(initiated_by="customer"),)), at=NOON) is None
    late = rules.rests("mail", Facts(contacts=(sale,)), at=NOON + 13 * HOUR)  # quiet until 8, capped until noon
    assert late is not None
    assert (late.rule, late.until_us) == ("quiet_hours", to_us(NOON + DAY))


def test_people_of_one_zone_rest_together_and_a_person_by_all_their_keys(tmp_path: Path) -> None:
    Ledger(tmp_path / "rapport.db").close()
    rules = ContactRules(a_brand(contact_policy=POLICY), a_catalogue(OFFER))
    with closing(connect(tmp_path / "rapport.db")) as connection:
        store.limit_carrier(connection, customer_key=7, channel="chat", until_us=to_us(NOON + HOUR), code="x")
        resting = Resting(connection, rules, at=NOON, owner_of={7: 1})
    assert resting.keys == {1}
    assert resting.of(1, "chat", None) == Rest("carrier_limit", to_us(NOON + HOUR))
    assert resting.of(2, "chat", None) is None
    assert resting.of(2, "mail", "Asia/Tokyo") == Rest("quiet_hours", to_us(NOON + 11 * HOUR))
    assert resting.of_zone("mail", "Europe/Berlin") is None


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    workspace = a_shop(tmp_path / "shop", TIP, OFFER, contact_policy=POLICY)
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as opened:
        yield opened


def mail(engine: Engine) -> dict[str, Any]:
    (found,) = [one for one in reach_view(engine)["channels"] if one["channel"] == "mail"]
    return {name: found[name] for name in ("reachable_now", "reachable_this_week", "not_reachable", "reasons")}


def test_who_was_written_to_or_sleeps_is_not_reachable_now(engine: Engine) -> None:
    for customer, zone in (("ann", None), ("bob", None), ("cid", "Asia/Tokyo")):
        before = (NOON - 3 * DAY).isoformat()
        given = {"userId": customer, "event": "Consent Given", "properties": {"channel": "mail"}, "timestamp": before}
        assert call(engine, "POST", "/v1/track", given).status_code == 202
        if zone is not None:
            moved = {"userId": customer, "traits": {"time_zone": zone}, "timestamp": before}
            assert call(engine, "POST", "/v1/identify", moved).status_code == 202
    sync(engine.workspace, now=NOON + HOUR)
    build_snapshots(engine.workspace, [NOON + HOUR])
    assert mail(engine) == {"reachable_now": 2, "reachable_this_week": 3, "not_reachable": 0, "reasons": {}}
    told = call(engine, "POST", "/v1/decisions", {"customer_id": "ann", "placement": "weekly", "channel": "mail"})
    assert told.json()["action"]["id"] == "offer"
    after = {"reachable_now": 1, "reachable_this_week": 2, "not_reachable": 1, "reasons": {"frequency_cap": 1}}
    assert mail(engine) == after
