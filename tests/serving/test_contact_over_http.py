"""The contact policy as clients meet it: over HTTP, with a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.brand import Placement
from features.catalogue import Action, Incentive, Rendering
from features.contact_policy import Budget, ContactPolicy, FrequencyCap, QuietHours, Refusals
from features.database import connect
from features.workspace import Workspace
from serving.contact.coupons import add_codes
from serving.contact.reading import read_facts
from serving.engine import Engine
from tests.serving.erasing_world import call
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import NOON, TIP, an_action

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEB = {"placement": "reply", "channel": "web"}
MAIL = {"placement": "weekly", "channel": "mail"}
OFFER = an_action("offer", expected_rate=0.5, tags=("sale",))
OTHER = an_action("other", expected_rate=0.4, tags=("sale",))


class Shop:
    """An engine over a workspace, at an instant that can be moved."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.at: datetime = NOON
        self.engine = Engine(workspace, clock=lambda: self.at, draw=lambda: 0.5)

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        answer = call(self.engine, "POST", path, body)
        return answer.status_code, answer.json()

    def decide(self, customer: str = "ann", **asked: Any) -> dict[str, Any]:
        status, told = self.post("/v1/decisions", {"customer_id": customer, "explain": True, **WEB, **asked})
        assert status == 200, told
        return dict(told)

    def consent(self, customer: str = "ann", **properties: Any) -> None:
        event = {"userId": customer, "event": "Consent Given", "properties": {"channel": "mail", **properties}}
        status, told = self.post("/v1/track", event | {"timestamp": (self.at - DAY).isoformat()})
        assert status == 202, told


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    shops: list[Shop] = []

    def open_shop(*actions: Action, policy: ContactPolicy | None = None, **changes: Any) -> Shop:
        changes = {"contact_policy": policy or ContactPolicy(), **changes}
        shops.append(Shop(a_shop(tmp_path / f"shop-{len(shops)}", TIP, *actions, **changes)))
        return shops[-1]

    yield open_shop
    for shop in shops:
        shop.engine.close()


def suppressed(told: dict[str, Any], action_id: str) -> dict[str, Any]:
    (found,) = [one for one in told["suppressed"] if one["action_id"] == action_id]
    return dict(found)


def caps(**cap: Any) -> ContactPolicy:
    return ContactPolicy(frequency_caps={"sales": FrequencyCap(tags=("sale",), governs="everyone", **cap)})


def test_a_capped_offer_says_when_it_is_eligible_again_and_is_given_then(opened: Any) -> None:
    shop = opened(OFFER, policy=caps(at_most=1, rolling_days=2))
    assert shop.decide()["action"]["id"] == "offer"
    shop.at = NOON + DAY
    told = shop.decide()
    assert told["action"]["id"] == "tip"
    found = suppressed(told, "offer")
    assert (found["rule"], found["eligible_at"]) == ("frequency_cap", (NOON + 2 * DAY).isoformat())
    assert found["counter"] | {"since": ""} == {
        "cap": "sales",
        "counted": 1,
        "at_most": 1,
        "counts": "exposure",
        "window": "rolling 2 days",
        "since": "",
    }
    shop.at = datetime.fromisoformat(found["eligible_at"]) - timedelta(microseconds=1)
    assert shop.decide()["action"]["id"] == "tip"
    shop.at += timedelta(microseconds=1)
    assert shop.decide()["action"]["id"] == "offer"


def test_a_dry_run_counts_nothing(opened: Any) -> None:
    shop = opened(OFFER, policy=caps(at_most=1, rolling_days=2))
    for _ in range(2):
        assert shop.decide(dry_run=True)["action"]["id"] == "offer"
    assert shop.decide()["action"]["id"] == "offer"
    assert shop.decide()["action"]["id"] == "tip"


def test_what_one_id_was_told_counts_for_the_person_behind_both(opened: Any) -> None:
    shop = opened(OFFER, policy=caps(at_most=1, rolling_days=2))
    told = shop.post("/v1/decisions", {"anonymous_id": "phone-1", **WEB})[1]
    assert told["action"]["id"] == "offer"
    assert shop.decide()["action"]["id"] == "offer"  # nobody knows that they are one
    joined = {"userId": "ann", "anonymousId": "phone-1", "traits": {}}
    assert shop.post("/v1/identify", joined)[0] == 202
    found = suppressed(shop.decide(), "offer")
    assert (found["rule"], found["counter"]["counted"]) == ("frequency_cap", 2)


def test_a_deferred_decision_is_a_reservation_until_its_exposure_is_reported(opened: Any) -> None:
    shop = opened(OFFER, policy=caps(at_most=1, rolling_days=7).model_copy(update={"reservation_hours": 6.0}))
    first = shop.decide(defer=True)["decision_id"]
    assert suppressed(shop.decide(), "offer")["eligible_at"] == (NOON + 6 * HOUR).isoformat()
    shop.at = NOON + HOUR
    exposed = {"decision_id": first, "status": "exposed", "slots": [{"slot": 0, "over_cap": False}]}
    assert shop.post(f"/v1/decisions/{first}/exposure") == (200, exposed)
    assert shop.post(f"/v1/decisions/{first}/exposure", {"slot": 0}) == (200, exposed)  # once, however often
    assert suppressed(shop.decide(), "offer")["eligible_at"] == (NOON + HOUR + 7 * DAY).isoformat()


def test_what_was_never_exposed_is_given_back_and_a_late_exposure_is_over_the_cap(opened: Any) -> None:
    shop = opened(
        an_action("offer", expected_rate=0.5, budget=Budget(units=1)),
        policy=ContactPolicy(reservation_hours=6),
    )
    first = shop.decide(defer=True)["decision_id"]
    found = suppressed(shop.decide("bob"), "offer")
    assert (found["rule"], found["eligible_at"]) == ("budget", (NOON + 6 * HOUR).isoformat())
    shop.at = NOON + 6 * HOUR
    assert shop.decide("bob")["action"]["id"] == "offer"
    late = shop.post(f"/v1/decisions/{first}/exposure", {"exposed_at": (NOON + 6 * HOUR).isoformat()})
    assert late == (200, {"decision_id": first, "status": "exposed", "slots": [{"slot": 0, "over_cap": True}]})
    assert suppressed(shop.decide("cid"), "offer")["eligible_at"] is None


def test_an_exposure_that_cannot_be_is_refused_and_nothing_is_written(opened: Any) -> None:
    shop = opened(OFFER)
    path = f"/v1/decisions/{shop.decide(defer=True)['decision_id']}/exposure"
    for body, pointer in [
        ({"exposed_at": (NOON + DAY).isoformat()}, "/exposed_at"),
        ({"exposed_at": (NOON - DAY).isoformat()}, "/exposed_at"),
        ({"exposed_at": "2026-03-01T12:00:00"}, "/exposed_at"),
        ({"exposed_at": "0001-01-01T00:00:00+05:30"}, "/exposed_at"),  # before the first instant by UTC
        ({"exposed_at": "9999-12-31T23:59:59-05:00"}, "/exposed_at"),
        ({"slot": -1}, "/slot"),
        ({"slot": 1}, "/slot"),
        ({"when": 1}, "/when"),
    ]:
        status, told = shop.post(path, body)
        assert (status, told["errors"][0]["pointer"]) == (422, pointer), told
    assert shop.post("/v1/decisions/nobody-knows/exposure")[0] == 404
    with closing(connect(shop.workspace.database)) as connection:
        assert connection.execute("SELECT exposed_at FROM contacts").fetchall() == [(None,)]


def test_an_exposure_of_a_slot_that_the_list_does_not_have_is_refused(opened: Any) -> None:
    shop = opened(OFFER)
    for limit, last in ((1, 0), (2, 1)):
        path = f"/v1/decisions/{shop.decide(defer=True, limit=limit)['decision_id']}/exposure"
        status, told = shop.post(path, {"slot": last + 1})
        assert (status, told["errors"][0]["detail"]) == (422, f"this decision has slots 0 to {last}.")
        assert shop.post(path, {"slot": last})[1]["status"] == "exposed"


def test_quiet_hours_are_the_customers_and_what_may_wait_says_when_to_send(opened: Any) -> None:
    night = QuietHours(start="21:00", until="08:00", channels=("mail",))
    shop = opened(OFFER, policy=ContactPolicy(quiet_hours=(night,)))
    for customer in ("ann", "bob"):
        shop.consent(customer)
    moved = {"userId": "bob", "traits": {"time_zone": "Asia/Tokyo"}, "timestamp": (NOON - DAY).isoformat()}
    assert shop.post("/v1/identify", moved)[0] == 202
    shop.at = NOON + HOUR  # 13:00 for Ann, 22:00 for Bob
    assert shop.decide("ann", **MAIL)["action"]["id"] == "offer"
    told = shop.decide("bob", **MAIL)
    assert told["action"]["id"] == "nothing"
    assert suppressed(told, "offer")["eligible_at"] == (NOON + 11 * HOUR).isoformat()  # 8:00 in Tokyo is 23:00 UTC
    patient = opened(OFFER, policy=ContactPolicy(quiet_hours=(night.model_copy(update={"then": "wait"}),)))
    patient.consent("ann")
    patient.at = NOON + 10 * HOUR
    told = patient.decide("ann", **MAIL)
    assert (told["action"]["id"], told["send_at"]) == ("offer", (NOON + 20 * HOUR).isoformat())


def test_not_now_rests_never_stays_and_a_carriers_limit_holds_on_its_channel(opened: Any) -> None:
    shop = opened(OFFER, OTHER, policy=ContactPolicy(refusals=Refusals(not_now_days=3, covers="tags")))
    for reason, customer, eligible_at in [
        ("not_now", "ann", (NOON + 3 * DAY).isoformat()),
        ("never", "bob", None),
    ]:
        refused = {"decision_id": shop.decide(customer)["decision_id"], "outcome": "refused", "reason": reason}
        assert shop.post("/v1/outcomes", refused)[0] == 200
        told = shop.decide(customer)
        assert told["action"]["id"] == "tip"
        for action_id in ("offer", "other"):  # they share a tag
            found = suppressed(told, action_id)
            assert (found["rule"], found["eligible_at"]) == ("refused", eligible_at)
    failed = {"decision_id": shop.decide("cid")["decision_id"], "outcome": "failed", "code": "131049"}
    assert shop.post("/v1/outcomes", failed | {"retry_after_seconds": 3600})[0] == 200
    found = suppressed(shop.decide("cid"), "offer")
    assert (found["rule"], found["eligible_at"]) == ("carrier_limit", (NOON + HOUR).isoformat())
    assert "carrier_limit" not in json.dumps(shop.decide("cid", channel="chat")["suppressed"])


def test_one_code_a_decision_until_the_pool_is_empty(opened: Any) -> None:
    gift = an_action(
        "gift",
        kind="offer",
        expected_rate=0.9,
        incentive=Incentive(kind="free_item", value=1, cost=0.5, coupons="spring"),
        renderings={"en": Rendering(body="Take it with {{ coupon_code }}.")},
    )
    shop = opened(gift)
    assert suppressed(shop.decide("ann"), "gift")["rule"] == "no_coupon_code"
    with closing(connect(shop.workspace.database)) as connection:
        add_codes(connection, "spring", ["S-1", "S-2"])
    bodies = [shop.decide(name)["message"]["body"] for name in ("ann", "bob", "cid")]
    assert bodies == ["Take it with S-1.", "Take it with S-2.", "This is the tip."]


def test_the_brand_speaks_first_only_with_consent_to_that_purpose_on_that_channel(opened: Any) -> None:
    service = an_action("service", expected_rate=0.6, purpose="service")
    shop = opened(OFFER, service, purposes=("personalisation", "marketing", "service"))
    shop.consent("ann", purpose="service")
    shop.consent("bob")
    ann, bob = shop.decide("ann", **MAIL), shop.decide("bob", **MAIL)
    assert (ann["action"]["id"], suppressed(ann, "offer")["rule"]) == ("service", "no_consent")
    assert (bob["action"]["id"], suppressed(bob, "service")["rule"]) == ("offer", "no_consent")
    gone = {"userId": "ann", "event": "Consent Withdrawn", "properties": {"purpose": "service"}}
    assert shop.post("/v1/track", gone | {"timestamp": NOON.isoformat()})[0] == 202
    shop.at = NOON + HOUR
    assert shop.decide("ann", **MAIL)["action"]["id"] == "nothing"


def test_a_customer_who_asks_is_answered_whatever_governs_the_brand(opened: Any) -> None:
    always = QuietHours(start="00:00", until="00:00", days=("sunday",))
    strict = ContactPolicy(quiet_hours=(always,), frequency_caps={"one": FrequencyCap(at_most=1, rolling_days=30)})
    speaks = {"reply": "customer", "weekly": "brand"}
    places = {
        name: Placement.model_validate(
            {"initiated_by": who, "channels": ("web",), "baseline": "tip", "fallback": "tip"}
        )
        for name, who in speaks.items()
    }
    shop = opened(OFFER, policy=strict, placements=places)
    assert shop.at.strftime("%A") == "Sunday"
    for _ in range(3):
        assert shop.decide()["action"]["id"] == "offer"
    assert shop.decide(placement="weekly")["action"]["id"] == "nothing"


def test_who_leaves_by_one_slot_of_a_list_leaves_its_channel(opened: Any) -> None:
    shop = opened(an_action("offer", expected_rate=0.5, channels=("chat",), placements=("reply",)))
    both = {"customer_id": "ann", "placement": "reply", "channels": ["chat", "web"], "limit": 2}
    told = shop.post("/v1/decisions", both)[1]
    assert [slot["channel"] for slot in told["slots"]] == ["chat", "web"]
    left = {"decision_id": told["decision_id"], "outcome": "unsubscribed", "slot": 1}
    assert shop.post("/v1/outcomes", left)[0] == 200
    engine = shop.engine
    assert read_facts(engine.reader, engine.people.keys("ann"), at=NOON, rules=engine.stock.rules).unsubscribed == {
        "web"
    }


def test_the_only_candidate_kept_away_leaves_an_answer_that_ranks_what_it_says(opened: Any) -> None:
    shop = opened(an_action("offer", expected_rate=0.5, budget=Budget(units=1)), holdout_rate=0.5)
    asked = [{"customer": f"customer-{n}", "dry_run": n % 4 == 3} for n in range(12)]
    told = [shop.decide(candidate_actions=["offer"], **one) for one in asked]
    assert {one["holdout"] for one in told} == {True, False}
    assert [one["action"]["id"] for one in told].count("offer") == 1
    for one in told:
        assert {ranked["action_id"] for ranked in one["ranking"]} <= set(one["explanation"]["distribution"])
