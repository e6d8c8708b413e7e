"""A worker that somebody's words went through has forgotten them once they are erased, by whichever worker."""

from __future__ import annotations

import gc
from pathlib import Path

import yaml

from features.workspace import Workspace
from serving.engine import Engine
from tests.serving.erasing_world import ANN, BOB, NOON, PHONE, SECRET, a_shop, call, once_finished

REPEATED = {
    "id": "repeated",
    "slots": {"said": {"expression": "inbound_text"}},
    "when": "inbound_text != 'nothing'",
    "renderings": {"en": {"hook": "You said", "body": "You said: {{ said }}."}},
}


def a_talkative_shop(root: Path) -> Workspace:
    """An action of the starter once more, whose rule and text look at what the customer wrote."""
    workspace = a_shop(root)
    catalogue = yaml.safe_load(workspace.catalogue_file.read_text("utf-8"))
    like = next(one for one in catalogue["actions"] if "chat_reply" in one["placements"] and "web" in one["channels"])
    catalogue["actions"].append(like | REPEATED)
    workspace.catalogue_file.write_text(yaml.safe_dump(catalogue, allow_unicode=True), "utf-8")
    return workspace


def say(engine: Engine, user: str, words: str) -> None:
    """A decision in answer to what somebody wrote."""
    asked = {"customer_id": user, "placement": "chat_reply", "channel": "web", "context": {"inbound_text": words}}
    answer = call(engine, "POST", "/v1/decisions", asked | {"explain": True})
    assert answer.status_code == 200, answer.text


def holds(root: object, words: str) -> bool:
    """Whether any text that can be reached from an object has these words in it."""
    seen, open_ones = {id(root)}, [root]
    while open_ones:
        one = open_ones.pop()
        if isinstance(one, str) and words in one:
            return True
        if isinstance(one, type) or type(one).__name__ in ("module", "function"):
            continue
        for other in gc.get_referents(one):
            if id(other) not in seen:
                seen.add(id(other))
                open_ones.append(other)
    return False


def test_another_worker_forgets_what_was_said_once_who_said_it_is_erased(tmp_path: Path) -> None:
    workspace = a_talkative_shop(tmp_path / "shop")
    with Engine(workspace, clock=lambda: NOON) as one, Engine(workspace, clock=lambda: NOON) as other:
        say(other, ANN, SECRET)
        assert holds(other.stock, SECRET)
        once_finished(one, ANN)
        say(other, BOB, "a cat")
        assert not holds(other.stock, SECRET)
        assert holds(other.stock, "a cat")


def test_two_ids_that_turn_out_to_be_one_person_make_nobody_forget(tmp_path: Path) -> None:
    with Engine(a_talkative_shop(tmp_path / "shop"), clock=lambda: NOON) as engine:
        say(engine, ANN, "a dog")
        call(engine, "POST", "/v1/page", {"anonymousId": PHONE, "messageId": "page-1"})
        call(engine, "POST", "/v1/identify", {"userId": BOB, "anonymousId": PHONE, "messageId": "join-1"})
        say(engine, BOB, "a cat")
        assert holds(engine.stock, "a dog")
