"""Many clients at once, in two engines as two workers are: no cap and no budget is passed, and what is reported is what
happens."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from experiments.records import read_decisions
from features.brand import Placement, Policy
from features.catalogue import Action, Incentive, Rendering
from features.contact_policy import Budget, ContactPolicy, FrequencyCap, SharedBudget
from features.workspace import Workspace
from serving.contact.coupons import add_codes
from serving.engine import Engine
from serving.policy import Distribution
from serving.schemas import DecisionRequest
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import TIP, an_action

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
N_CLIENTS = 64
POLICIES = {
    "greedy": Policy(name="greedy"),
    "uniform": Policy(name="uniform"),
    "explore": Policy(name="epsilon_greedy", epsilon=0.6),
}
CODES = [f"SPRING-{n:03d}" for n in range(40)]


class Worker:
    """One engine in a thread of its own, as a served process has it."""

    def __init__(self, workspace: Workspace, *, seed: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.engine: Engine = self._run(self._opened(workspace, random.Random(seed)))

    async def _opened(self, workspace: Workspace, draws: random.Random) -> Engine:
        return Engine(workspace, clock=lambda: NOON, draw=draws.random)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    def ask(self, requests: Sequence[DecisionRequest], *, ready: threading.Barrier) -> list[dict[str, Any]]:
        """The answers to everything at once, from when the other worker is ready too."""

        async def everything() -> list[dict[str, Any]]:
            return await asyncio.gather(*(self.engine.decide_soon(request) for request in requests))

        ready.wait(timeout=20)
        told: list[dict[str, Any]] = self._run(everything())
        return told

    def close(self) -> None:
        """Ends the engine in its own thread."""

        async def end() -> None:
            self.engine.close()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def an_offer(action_id: str, **changes: object) -> Action:
    incentive = Incentive(kind="free_item", value=1.0, cost=5.0)
    usual = {"placements": tuple(POLICIES), "channels": ("web",), "incentive": incentive}
    return an_action(action_id, kind="offer", expected_rate=0.5, **(usual | changes))


def the_shop(folder: Path) -> Workspace:
    """Offers that a cap, a budget or a pool of codes limits, in a placement for each policy."""
    with_code = Incentive(kind="amount", value=5.0, cost=5.0, coupons="spring")
    everywhere = {"placements": tuple(POLICIES), "channels": ("web",)}
    return a_shop(
        folder,
        TIP.model_copy(update=everywhere),
        an_action("letter", **everywhere),
        *(an_offer(name) for name in ("rare", "scarce", "capped", "capped_too", "of_units", "of_money")),
        an_offer("of_its_own", budget=Budget(units=1)),
        an_offer("coded", incentive=with_code, renderings={"en": Rendering(body="Your code is {{ coupon_code }}.")}),
        placements={
            name: Placement(initiated_by="customer", channels=("web",), baseline="tip", fallback="tip", policy=policy)
            for name, policy in POLICIES.items()
        },
        contact_policy=ContactPolicy(
            frequency_caps={
                "once": FrequencyCap(at_most=1, rolling_days=1, actions=("rare",), governs="everyone"),
                "thrice": FrequencyCap(at_most=3, calendar="day", actions=("scarce",), governs="everyone"),
                "both": FrequencyCap(at_most=4, rolling_days=1, actions=("capped", "capped_too"), governs="everyone"),
            },
            budgets={
                "units": SharedBudget(units=1, actions=("of_units",)),
                "money": SharedBudget(amount=9.0, every="day", actions=("of_money",)),
            },
        ),
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return the_shop(tmp_path_factory.mktemp("contention") / "shop")


@pytest.fixture(scope="module")
def workers(workspace: Workspace) -> Iterator[tuple[Worker, Worker]]:
    opened = (Worker(workspace, seed=1), Worker(workspace, seed=2))
    opened[0].engine.ledger.write(partial(add_codes, pool="spring", codes=CODES))
    yield opened
    for worker in opened:
        worker.close()


Workers = tuple[Worker, Worker]


def ask_at_once(workers: Workers, requests: Sequence[DecisionRequest]) -> list[dict[str, Any]]:
    """The answers of two engines that are asked everything at the same time, half each."""
    told: list[list[dict[str, Any]]] = [[], []]
    ready = threading.Barrier(2)

    def client(number: int) -> None:
        told[number] = workers[number].ask(requests[number::2], ready=ready)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, told)) == len(requests)
    return [*told[0], *told[1]]


def known(workers: Workers, names: Sequence[str]) -> None:
    """Makes these customers, so that nobody waits for a new key while others decide."""
    ask_at_once(workers, [a_request(name, "letter", placement="greedy") for name in names])


def a_request(customer_id: str, *candidates: str, placement: str, **changes: object) -> DecisionRequest:
    asked = {"customer_id": customer_id, "placement": placement, "channel": "web", "candidate_actions": [*candidates]}
    return DecisionRequest.model_validate(asked | changes)


def taken(told: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(one["action"]["id"] for one in told)


def assert_drawn_as_reported(workspace: Workspace, told: Sequence[dict[str, Any]]) -> None:
    """Each row's action is what its recorded draw takes from its recorded distribution, with that probability."""
    rows = read_decisions(workspace.database).set_index("decision_id").loc[[one["decision_id"] for one in told]]
    for record in map(json.loads, rows["record"]):
        (slot,) = record["slots"]
        shares = slot["distribution"]
        distribution = Distribution(tuple(shares), tuple(shares.values()))
        assert distribution.take(slot["draw"]) == slot["key"]
        assert distribution.probability(slot["key"]) == slot["slot_probability"]


@pytest.mark.parametrize(("action_id", "at_most"), [("rare", 1), ("scarce", 3)])
@pytest.mark.parametrize("defer", [False, True], ids=["", "deferred"])
def test_64_clients_at_once_for_one_customer_do_not_pass_a_cap(
    workers: Workers, workspace: Workspace, action_id: str, at_most: int, defer: bool
) -> None:
    who = f"{action_id}-{defer}"
    known(workers, [who])
    asked = a_request(who, action_id, "tip", placement="uniform", defer=defer)
    told = ask_at_once(workers, [asked] * N_CLIENTS)
    assert taken(told)[action_id] == at_most  # one in two is drawn while any is left
    assert_drawn_as_reported(workspace, told)


@pytest.mark.parametrize(
    ("action_id", "defer"), [("of_units", False), ("of_money", False), ("of_its_own", True)], ids=lambda one: str(one)
)
def test_64_clients_at_once_for_the_last_unit_of_a_budget_get_one(
    workers: Workers, workspace: Workspace, action_id: str, defer: bool
) -> None:
    names = [f"{action_id}-{n}" for n in range(N_CLIENTS)]
    known(workers, names)
    asked = [a_request(name, action_id, "tip", placement="greedy", defer=defer) for name in names]
    told = ask_at_once(workers, asked)
    assert taken(told) == {action_id: 1, "tip": N_CLIENTS - 1}  # at first every one of them was settled on the offer
    assert_drawn_as_reported(workspace, told)


def test_under_contention_actions_are_taken_as_often_as_they_are_reported(
    workers: Workers, workspace: Workspace
) -> None:
    names, candidates = [f"often-{n}" for n in range(10)], ("capped", "capped_too", "tip", "letter")
    known(workers, names)
    told = ask_at_once(
        workers, [a_request(name, *candidates, placement="explore") for name in names for _ in range(N_CLIENTS)]
    )
    of_customer: dict[str, Counter[str]] = {name: Counter() for name in names}
    for one in told:
        of_customer[one["customer_id"]][one["action"]["id"]] += 1
    assert {mine["capped"] + mine["capped_too"] for mine in of_customer.values()} == {4}
    reported = [{one["action_id"]: one["probability"] for one in answer["ranking"]} for answer in told]
    for action_id in candidates:
        chances = [probabilities.get(action_id, 0.0) for probabilities in reported]
        assert abs(taken(told)[action_id] - sum(chances)) < 5 * math.sqrt(sum(p * (1 - p) for p in chances))
    assert_drawn_as_reported(workspace, told)


def test_64_clients_at_once_get_a_coupon_code_each_until_none_is_left(workers: Workers, workspace: Workspace) -> None:
    names = [f"coded-{n}" for n in range(N_CLIENTS)]
    known(workers, names)
    told = ask_at_once(workers, [a_request(name, "coded", "tip", placement="greedy") for name in names])
    assert taken(told) == {"coded": len(CODES), "tip": N_CLIENTS - len(CODES)}
    given = {one["coupon_code"]: one["message"]["body"] for one in told if one["action"]["id"] == "coded"}
    assert sorted(given) == CODES
    assert all(body == f"Your code is {code}." for code, body in given.items())
