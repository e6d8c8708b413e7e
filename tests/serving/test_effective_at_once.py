"""What a customer just said or did is in the next decision, whichever worker makes it: over HTTP, with two workers."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from features.workspace import Workspace
from tests.serving.test_served_http import asked, call

Shop = tuple[str, Workspace]
AT_ONCE = 12  # decisions beside each other, on connections of their own: one worker alone does not get them all
_NUMBERS = itertools.count()


def a_customer(address: str, *, prefix: str = "live") -> str:
    """One whom nobody has heard of, and who is not held out."""
    for _ in range(200):
        name = f"{prefix}-{next(_NUMBERS)}"
        if not call(f"{address}/v1/decisions", asked(name))[2]["holdout"]:
            return name
    raise AssertionError("200 customers in a row are held out.")


def track(address: str, user: str, event: str, **properties: object) -> None:
    body = {"userId": user, "event": event, "properties": properties, "messageId": f"{user}-{next(_NUMBERS)}"}
    status, _, told = call(f"{address}/v1/track", body)
    assert status == 202, told


def decisions(address: str, user: str, **changes: object) -> list[dict[str, Any]]:
    """The answers of decisions that begin at the same time."""
    together = threading.Barrier(AT_ONCE)

    def decide(_: object) -> dict[str, Any]:
        together.wait()
        status, _, told = call(f"{address}/v1/decisions", asked(user, **changes))
        assert status == 200, told
        return dict(told)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(decide, range(AT_ONCE)))


def rules(told: dict[str, Any]) -> dict[str, str]:
    return {one["action_id"]: one["rule"] for one in told["suppressed"]}


def ranked(told: dict[str, Any]) -> set[str]:
    return {one["action_id"] for one in told["ranking"]}


def test_an_answer_is_in_the_next_decision_of_every_worker(served_shop: Shop) -> None:
    address, _ = served_shop
    user = a_customer(address)
    assert "curated_set" not in ranked(decisions(address, user)[0])
    track(address, user, "Question Answered", trait="skin_need", answer="acne", conversation_id="talk-1", step="need")
    for told in decisions(address, user):
        assert "curated_set" in ranked(told)
        assert "skin_quiz" not in ranked(told)


def test_a_trait_of_an_identify_call_is_in_the_next_decision(served_shop: Shop) -> None:
    address, _ = served_shop
    user = a_customer(address)
    body = {"userId": user, "traits": {"skin_need": "dryness"}, "messageId": f"{user}-identify"}
    assert call(f"{address}/v1/identify", body)[0] == 202
    assert all("curated_set" in ranked(told) for told in decisions(address, user))


def test_a_cart_and_then_an_order_move_the_customer_along_the_funnel(served_shop: Shop) -> None:
    address, _ = served_shop
    user = a_customer(address)
    assert decisions(address, user)[0]["stage"] == "awareness"
    product = {"product_id": "p-1", "price": 250.0, "quantity": 1}
    track(address, user, "Product Added", **product)
    assert {told["stage"] for told in decisions(address, user)} == {"consideration"}
    track(address, user, "Order Completed", order_id=f"{user}-o1", total=250.0, currency="INR", products=[product])
    after = decisions(address, user)
    assert {told["stage"] for told in after} == {"conversion"}
    assert all("first_order_coupon" in rules(told) for told in after)


def test_a_consent_and_its_withdrawal_count_at_once(served_shop: Shop) -> None:
    address, _ = served_shop
    user = a_customer(address)
    by_mail = {"placement": "weekly_message", "channel": "email"}
    assert {rule for told in decisions(address, user, **by_mail) for rule in rules(told).values()} >= {"no_consent"}
    track(address, user, "Consent Given", channel="email", purpose="marketing")
    assert "no_consent" not in {r for told in decisions(address, user, **by_mail) for r in rules(told).values()}
    track(address, user, "Consent Withdrawn", channel="email", purpose="marketing")
    for told in decisions(address, user, **by_mail):
        assert "no_consent" in rules(told).values()


def test_who_signs_in_is_decided_on_with_what_their_device_did(served_shop: Shop) -> None:
    address, _ = served_shop
    user = a_customer(address)
    device = f"device-of-{user}"
    order = {
        "anonymousId": device,
        "event": "Order Completed",
        "properties": {"order_id": f"{device}-o1", "total": 90.0, "currency": "INR"},
        "messageId": f"{device}-1",
    }
    assert call(f"{address}/v1/track", order)[0] == 202
    assert decisions(address, user)[0]["stage"] == "awareness"
    assert call(f"{address}/v1/identify", {"userId": user, "anonymousId": device, "messageId": f"{user}-in"})[0] == 202
    assert {told["stage"] for told in decisions(address, user)} == {"conversion"}


def test_events_and_decisions_beside_each_other_are_never_late(served_shop: Shop) -> None:
    """Every decision that begins after a 202 counts what was acknowledged by then, also under load."""
    address, _ = served_shop

    def stages(n: int) -> list[str]:
        user = a_customer(address, prefix=f"crowd-{n}")
        track(address, user, "Product Added")
        first = call(f"{address}/v1/decisions", asked(user))[2]
        track(address, user, "Order Completed", order_id=f"{user}-o", total=10.0)
        return [first["stage"], call(f"{address}/v1/decisions", asked(user))[2]["stage"]]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(stages, range(12))) == [["consideration", "conversion"]] * 12
