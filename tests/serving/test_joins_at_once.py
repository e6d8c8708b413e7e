"""Ids are joined and events written by many threads at once: each event is found once, under its person."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from contextlib import closing
from functools import partial

from features.database import connect
from features.identity import IdentityTable
from features.lake import instant_us
from features.persons import events_of
from features.workspace import Workspace
from serving.engine import Engine
from serving.ingest.conversions import Conversions
from serving.ingest.instants import DAY_US, SECOND_US, Limits
from serving.ingest.judging import Arrival, Judge, Taken
from serving.ingest.work import write_calls
from tests.serving.tiny_world import NOON

N_PEOPLE, N_THREADS = 6, 4


def calls_of(person: int, worker: int) -> list[dict[str, object]]:
    """What one worker hears of a person: of each of their ids, and which of them are one; in any order."""
    user, old, phone, laptop = (f"{kind}-{person}" for kind in ("user", "old", "phone", "laptop"))
    said: list[dict[str, object]] = [
        {"type": "track", "event": "Product Viewed", "userId": user},
        {"type": "track", "event": "Product Viewed", "userId": old},
        {"type": "track", "event": "Product Viewed", "anonymousId": phone},
        {"type": "track", "event": "Product Viewed", "anonymousId": laptop},
        {"type": "identify", "userId": user, "anonymousId": phone},
        {"type": "identify", "userId": user, "anonymousId": laptop},
        {"type": "alias", "userId": user, "previousId": old},
        {"type": "alias", "userId": user, "previousId": user},
    ]
    named = [call | {"messageId": f"{worker}-{person}-{n}"} for n, call in enumerate(said)]
    return [*named, named[0]]  # the first is sent twice


def test_joins_and_events_from_many_threads_lose_nothing(shop: Workspace) -> None:
    now_us = instant_us(NOON)
    with Engine(shop, clock=lambda: NOON, draw=lambda: 0.5) as engine:
        judge = Judge(engine.brand, Limits(past_us=30 * DAY_US, future_us=60 * SECOND_US))
        conversions = Conversions(engine.brand, engine.catalogue)
        barrier = threading.Barrier(N_THREADS)
        faults: list[Exception] = []

        def write(worker: int) -> None:
            draw = random.Random(worker)
            calls = [call for person in range(N_PEOPLE) for call in calls_of(person, worker)]
            draw.shuffle(calls)
            barrier.wait()
            try:
                while calls:
                    n = draw.randint(1, 7)
                    some, calls = calls[:n], calls[n:]
                    judged = [judge.judge(json.dumps(call).encode(), Arrival(now_us, now_us)) for call in some]
                    taken = [one for one in judged if isinstance(one, Taken)]
                    assert len(taken) == len(some)
                    engine.ledger.write(partial(write_calls, taken=taken, letters=(), conversions=conversions))
            except Exception as fault:
                faults.append(fault)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(N_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
    with closing(connect(shop.database)) as connection:
        identity = IdentityTable(connection)
        found: Counter[str] = Counter()
        for person in range(N_PEOPLE):
            key = identity.key(f"user-{person}")
            assert key is not None
            assert identity.key(f"old-{person}") == key
            assert identity.key(f"phone-{person}", "anonymous") == identity.key(f"laptop-{person}", "anonymous") == key
            ids = events_of(shop, connection, identity.keys_of(key))["event_id"].to_pylist()
            assert {one.split("-")[1] for one in ids} == {str(person)}
            found.update(ids)
        assert found == Counter(
            f"{worker}-{person}-{n}" for worker in range(N_THREADS) for person in range(N_PEOPLE) for n in range(8)
        )
