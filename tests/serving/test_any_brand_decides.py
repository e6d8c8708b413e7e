"""Whatever brand.yaml and catalogue.yaml pass the check, every request of it is answered, adds up and can be replayed.

The worlds are drawn at random from a seed: rules that meet as nobody thought of are where a decision fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.workspace import Workspace
from serving.engine import Engine
from serving.replaying.replay import replay_decision
from serving.schemas import DecisionRequest, OutcomeReport
from tests.serving.conftest import starter
from tests.serving.tiny_world import Clock

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WORLDS, REQUESTS = 6, 12
ALWAYS_SAYABLE = ("chat_help", "bestsellers")
TRAITS = ("skin_need", "interests", "life_stage", "price_preference", "birthday")
TAGS = ("discount", "hook", "festival")
OUTCOMES = ("failed", "clicked", "refused", "converted", "unsubscribed")
POLICIES: tuple[dict[str, Any], ...] = (
    {"name": "greedy"},
    {"name": "uniform"},
    {"name": "squarecb", "gamma": 1e6},
    {"name": "epsilon_greedy", "epsilon": 1},
)
WINDOWS: tuple[dict[str, Any], ...] = ({"rolling_hours": 1}, {"rolling_days": 7}, {"calendar": "day"})
RULES = ("has_skin_need", "purchase_propensity > 0.1", "inbound_text == 'x'", "channel == 'web'", "false")


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(told)
    path.write_text(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), encoding="utf-8")


def a_random_brand(draw: random.Random) -> Callable[[dict[str, Any]], None]:
    def cap() -> dict[str, Any]:
        counted = {
            "counts": draw.choice(["decision", "exposure", "click"]),
            "governs": draw.choice(["brand", "everyone"]),
        }
        apart: dict[str, Any] = draw.choice([{}, {"each": "action"}, {"each": "channel"}, {"tags": list(TAGS)}])
        return {"at_most": draw.randint(1, 2), **draw.choice(WINDOWS), **counted, **apart}

    def budget() -> dict[str, Any]:
        much: dict[str, Any] = draw.choice([{"units": 0}, {"units": 2}, {"amount": 200}])
        return much | draw.choice([{}, {"every": "day"}, {"tags": ["discount"]}, {"channels": ["line"]}])

    def change(brand: dict[str, Any]) -> None:
        brand["holdout_rate"], brand["policy"] = draw.choice([0, 0.5]), draw.choice(POLICIES)
        brand["intents"] = ["buy"]
        brand["exploration"] = {"exposures": draw.choice([0, 2]), "share": draw.choice([0.1, 1])}
        brand["rewards"] |= {"question_cost": draw.choice([0, 1000]), "prior_strength": draw.choice([0.001, 50])}
        brand["contact_policy"] = {
            "quiet_hours": [{"start": "17:00", "until": "18:00", "then": draw.choice(["wait", "suppress"])}],
            "frequency_caps": {f"cap_{n}": cap() for n in range(draw.randint(0, 3))},
            "budgets": {f"budget_{n}": budget() for n in range(draw.randint(0, 2))},
            "refusals": {"covers": draw.choice(["action", "tags", "everything"])},
            "reservation_hours": draw.choice([0.001, 24]),
        }
        for name, place in brand["placements"].items():
            place["questions"] = draw.sample(TRAITS, draw.randint(0, len(TRAITS)))
            place["at_most_per_tag"] = draw.choice([1, 2])
            if name == "chat_reply":
                place["off_script"] = draw.choice(ALWAYS_SAYABLE)

    return change


def a_random_catalogue(draw: random.Random) -> Callable[[dict[str, Any]], None]:
    def change(catalogue: dict[str, Any]) -> None:
        kept = draw.choice([1.0, 0.5, 0.0])
        catalogue["actions"] = [
            one for one in catalogue["actions"] if one["id"] in (*ALWAYS_SAYABLE, *TAGGED) or draw.random() < kept
        ]
        for one in catalogue["actions"]:
            one["value"] = draw.choice([one["value"], 0, 1e6])
            one["budget"] = {"units": draw.choice([0, 1, 1000])}
            if one["id"] not in ALWAYS_SAYABLE and draw.random() < 0.3:
                one["when"] = draw.choice(RULES)

    return change


TAGGED = ("first_order_coupon", "welcome_hook", "festival_offer")  # that the tags of the rules are some action's


def requests_of(draw: random.Random, engine: Engine) -> Iterator[DecisionRequest]:
    actions = sorted(action.id for action in engine.catalogue.actions)
    for _ in range(REQUESTS):
        name = draw.choice(sorted(engine.brand.placements))
        channels = draw.sample(engine.brand.placements[name].channels, draw.randint(1, 1 + (name != "web_banner")))
        more: dict[str, Any] = {}
        if draw.random() < 0.5:
            more["candidate_actions"] = draw.sample(actions, 1)
        if draw.random() < 0.2:
            more["excluded_actions"] = draw.sample(actions, 3)
        how = draw.choice([{}, {"dry_run": True}, {"defer": True}, {"explain": True}])
        context = draw.choice([{}, {"intent": "else"}, {"inbound_text": "x"}, {"session_open": True}])
        place = {"placement": name, "channels": channels, "limit": draw.randint(1, 4)}
        who = {"customer_id": f"c-{draw.randint(0, 4)}"}
        yield DecisionRequest.model_validate({**who, **place, "context": context, **how, **more})


def add_up(told: dict[str, Any]) -> None:
    assert (told["message"] is None) == (told["action"]["id"] == "nothing")
    assert all(one["eligible_at"] is None or one["eligible_at"] > told["decided_at"] for one in told["suppressed"])
    is_drawn = not told["holdout"] and told["fallback_reason"] not in ("unknown_intent", "nothing_eligible")
    if is_drawn:
        assert sum(one["probability"] for one in told["ranking"]) == pytest.approx(1.0)
    said = [slot["action"]["id"] for slot in told.get("slots", [])]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("seed", range(WORLDS))
def test_whatever_passes_the_check_decides_adds_up_and_is_replayed(tmp_path: Path, seed: int) -> None:
    draw, clock, shop = random.Random(seed), Clock(), starter(tmp_path / "shop")
    rewritten(shop.brand_file, a_random_brand(draw))
    rewritten(shop.catalogue_file, a_random_catalogue(draw))
    decided: list[str] = []
    with Engine(shop, clock=clock, draw=draw.random) as engine:
        engine.warm_up()
        for request in requests_of(draw, engine):
            clock.now += timedelta(seconds=draw.choice([1, 4_000]))
            told = engine.decide(request)
            add_up(told)
            if told["decision_id"] is not None:
                decided.append(told["decision_id"])
                report = {"decision_id": told["decision_id"], "outcome": draw.choice(OUTCOMES)}
                engine.record_outcomes([OutcomeReport.model_validate(report)])
    verdicts = [replay_decision(Workspace(shop.root), decision_id) for decision_id in decided[:3]]
    assert all(one.status == "same" or "told for this decision only" in one.reasons[0] for one in verdicts)
