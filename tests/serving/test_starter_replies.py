"""The shipped brand's buttons, pressed: an answer is known, a refusal rests."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.engine import Engine
from tests.serving.conftest import starter
from tests.serving.erasing_world import call

HELD_OUT = "holdout_rate: "


@pytest.mark.parametrize(("locale", "text"), [("en", "Breakouts"), ("hi", "मुँहासे"), ("th", "สิว")])
def test_a_tap_on_the_quiz_makes_the_need_known_and_asks_no_more(tmp_path: Path, locale: str, text: str) -> None:
    shop = starter(tmp_path / "shop")
    lines = [line for line in shop.brand_file.read_text("utf-8").splitlines() if not line.startswith(HELD_OUT)]
    shop.brand_file.write_text("\n".join([*lines, f"{HELD_OUT}0.0"]), "utf-8")
    where = {"placement": "chat_reply", "channel": "whatsapp", "locale": locale}
    asked = {"customer_id": "ann", **where, "candidate_actions": ["skin_quiz"]}
    with Engine(shop, draw=lambda: 0.5) as engine:
        told = call(engine, "POST", "/v1/decisions", asked).json()
        assert told["action"]["id"] == "skin_quiz"
        (pressed,) = [reply for reply in told["message"]["replies"] if reply["text"] == text]
        assert pressed["value"] == "acne"
        said = {"channel": "whatsapp", "conversation_id": "c-1", "payload": pressed["payload"]}
        event = {"userId": "ann", "event": "Message Replied", "properties": said}
        assert call(engine, "POST", "/v1/track", event).status_code == 202
        again = call(engine, "POST", "/v1/decisions", asked | {"explain": True}).json()
        assert [one["rule"] for one in again["suppressed"] if one["action_id"] == "skin_quiz"] == ["when"]
        assert again["action"]["id"] != "skin_quiz"
        known = call(engine, "GET", "/v1/customers/ann/traits").json()
        assert [(one["trait"], one["value"]) for one in known["traits"]] == [("skin_need", "acne")]
