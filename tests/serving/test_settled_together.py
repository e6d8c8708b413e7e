"""What waits for one transaction is settled and written together, and comes to what one after the other comes to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from experiments.records import read_decisions
from features.brand import Placement
from features.catalogue import Incentive
from features.contact_policy import Budget, ContactPolicy, FrequencyCap
from features.workspace import Workspace
from serving.committing import Commit, Committed, commit_together
from serving.engine import Engine
from serving.schemas import DecisionRequest
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import TIP, an_action

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = {"placements": ("reply",), "channels": ("web",)}


def shop(folder: Path) -> Workspace:
    """A gift of which there are two, and a card that each customer gets once a day; else the tip."""
    gift = Incentive(kind="free_item", value=1.0, cost=1.0)
    once = FrequencyCap(at_most=1, rolling_days=1, actions=("card",), governs="everyone")
    return a_shop(
        folder,
        TIP.model_copy(update=HERE),
        an_action("gift", kind="offer", value=90.0, expected_rate=0.5, incentive=gift, budget=Budget(units=2), **HERE),
        an_action("card", kind="offer", value=20.0, expected_rate=0.5, incentive=gift, **HERE),
        placements={"reply": Placement(initiated_by="customer", channels=("web",), baseline="tip", fallback="tip")},
        contact_policy=ContactPolicy(frequency_caps={"once": once}),
    )


def _next_of(mine: Iterator[str], _: datetime) -> str:
    return next(mine)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """Two shops that are alike."""
    ids = [iter(f"d-{n:02d}" for n in range(99)) for _ in range(2)]
    opened = [
        Engine(shop(tmp_path / f"{n}"), clock=lambda: NOON, draw=lambda: 0.5, new_id=partial(_next_of, mine))
        for n, mine in enumerate(ids)
    ]
    yield opened[0], opened[1]
    for engine in opened:
        engine.close()


def asked(name: str) -> DecisionRequest:
    return DecisionRequest(customer_id=name, placement="reply", channel="web")


def prepared(engine: Engine, names: list[str]) -> list[Commit]:
    """Requests that wait for their transaction."""
    for name in dict.fromkeys(names):
        engine.decide(asked(name).model_copy(update={"excluded_actions": ["gift", "card"]}))
    works = []
    for name in names:
        inquiry, keys = engine._inquired(asked(name), None), engine.people.keys(name)
        assert keys is not None
        state = engine.online.read(keys[0])
        works.append(Commit(engine._settled(inquiry, keys, state).pending))
    return works


def test_a_group_leaves_the_ledger_of_one_after_the_other(engines: tuple[Engine, Engine]) -> None:
    names = ["ann", "bob", "ann", "cleo", "dan", "bob", "ann"]
    together, alone = engines
    works = prepared(together, names)
    together.ledger.write(lambda connection: commit_together(connection, works))
    for work in prepared(alone, names):
        alone.ledger.write(work)
    found = [read_decisions(one.workspace.database).sort_values("decision_id") for one in engines]
    said = list(found[0]["action_id"])[-7:]
    assert said.count("gift") == 2, "there are two"
    assert said[:2] == ["gift", "gift"]
    assert [json.loads(record) for record in found[0]["record"]] == [
        json.loads(record) for record in found[1]["record"]
    ]
    for table in ("contacts", "budget_use", "action_statistics", "action_exposures"):
        rows = [one.reader.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for one in engines]
        assert rows[0] == rows[1]


def test_the_same_question_twice_in_one_group_gets_one_answer_and_one_row(engines: tuple[Engine, Engine]) -> None:
    engine, _ = engines
    engine.decide(asked("ann"))
    question = asked("ann").model_copy(update={"decision_id": "mine"})

    async def twice() -> list[dict[str, object]]:
        return list(await asyncio.gather(engine.decide_soon(question), engine.decide_soon(question)))

    first, second = asyncio.run(twice())
    assert first["decision_id"] == second["decision_id"] == "mine"
    assert first == second
    n = engine.reader.execute("SELECT count(*) FROM decisions WHERE decision_id = 'mine'").fetchone()[0]
    assert n == 1


def test_an_answer_that_cannot_be_made_beforehand_is_made_where_it_is_waited_for(
    engines: tuple[Engine, Engine],
) -> None:
    engine, _ = engines
    (work,) = prepared(engine, ["ann"])

    def fails(_: Committed) -> dict[str, object]:
        raise ValueError("no number")

    written = engine.ledger.write(replace(work, told=fails))
    assert isinstance(written, Committed)
    found = []
    for told in (fails, lambda one: {"decided": len(one.decisions)}, fails):  # once it is made it is left as it is
        replace(work, told=told).foretold(written)
        found.append(written.told)
    assert found == [None, {"decided": 1}, {"decided": 1}]
