"""A refusal is lifted only by a later consent of somebody who was the same person already."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.aggregation import Sources, aggregate
from features.brand import Brand, load_brand
from features.evidence import withdrawals_in
from features.lake import Lake, instant_us
from features.merges import Merge
from features.owners import links
from features.persons import SCHEMA
from features.recompute import Recomputer
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace
from tests.features.conftest import NOON

Event = dict[str, Any]
Said = tuple[int, str | None, str | None, bool, int]  # key, channel, purpose, given, the hour
GIVEN, REFUSED = True, False
EMAIL, SMS = "email", "sms"


class Asked:
    """What stands of consents, asked in every place that answers."""

    def __init__(self, workspace: Workspace, events_table: Callable[..., pa.Table]) -> None:
        self.brand: Brand = load_brand(workspace)
        self.schema: FeatureSchema = feature_schema(self.brand, workspace)
        self.recomputer = Recomputer(workspace, self.brand, self.schema)
        self._lake, self._table = Lake(workspace.lake), events_table

    def row(self, events: Sequence[Event], merges: Sequence[Merge] = (), at: datetime = NOON) -> dict[str, Any]:
        """The row of customer 1, which is the same for everyone and for one."""
        log = self._table(events)
        (alone,) = self.recomputer.rows((1,), as_of=at, log=log, merges=merges).to_pylist()
        sources = Sources(self._lake, log=log, merges=tuple(merges))
        (everyone,) = aggregate(sources, [at], brand=self.brand, schema=self.schema)
        assert [row for row in everyone.to_pylist() if row["customer_key"] == 1] == [alone]
        return dict(alone)

    def channels(self, events: Sequence[Event], merges: Sequence[Merge] = ()) -> list[str]:
        return sorted(json.loads(self.row(events, merges)["consents"] or "[]"))

    def withdrawn(self, events: Sequence[Event], merges: Sequence[Merge] = ()) -> set[str]:
        """The purposes by the evidence, which the scrub reads too."""
        table = self._table(events).select(SCHEMA.names).cast(SCHEMA)
        found = withdrawals_in(table, self.brand, owner_of=lambda key: 0, merges=merges)
        return {one.purpose for one in found.get(0, ())}


@pytest.fixture(scope="module")
def asked(a_workspace: Callable[..., Workspace], events_table: Callable[..., pa.Table]) -> Any:
    made = Asked(a_workspace(), events_table)
    yield made
    made.recomputer.close()


def hour(n: int) -> datetime:
    return NOON - timedelta(days=2) + timedelta(hours=n)


def consents(said: Sequence[Said]) -> list[Event]:
    seen: Event = {"customer_key": 1, "event": "Page Viewed", "occurred_at": hour(0), "received_at": hour(0)}
    events = [seen | {"event_id": "seen", "backfilled": False}]
    for n, (key, channel, purpose, is_given, at) in enumerate(said):
        about = None if purpose is None else json.dumps({"purpose": purpose})
        event: Event = {
            "event_id": f"e{n}",
            "event": "Consent Given" if is_given else "Consent Withdrawn",
            "channel": channel,
        }
        event |= {"customer_key": key, "properties": about, "backfilled": False}
        events.append(event | {"occurred_at": hour(at), "received_at": hour(at)})
    return events


def merged(*said: tuple[int, int, int]) -> tuple[Merge, ...]:
    return tuple(Merge(from_key, into_key, instant_us(hour(at))) for from_key, into_key, at in said)


def by(key: int, channel: str | None, is_given: bool, at: int) -> Said:
    return (key, channel, None, is_given, at)


@pytest.mark.parametrize(
    ("said", "merges", "stand"),
    [
        pytest.param([by(1, EMAIL, GIVEN, 1), by(1, EMAIL, REFUSED, 2)], [], [], id="the newest refuses"),
        pytest.param([by(1, EMAIL, REFUSED, 1), by(1, EMAIL, GIVEN, 2)], [], [EMAIL], id="the newest gives"),
        pytest.param([by(1, EMAIL, REFUSED, 1), by(2, EMAIL, GIVEN, 2)], [(2, 1, 3)], [], id="device gave later"),
        pytest.param([by(2, EMAIL, REFUSED, 1), by(1, EMAIL, GIVEN, 2)], [(2, 1, 3)], [], id="device refused before"),
        pytest.param(
            [by(2, EMAIL, REFUSED, 1), by(1, EMAIL, REFUSED, 2), by(1, EMAIL, GIVEN, 4)],
            [(2, 1, 3)],
            [EMAIL],
            id="given after the join",
        ),
        pytest.param(
            [by(1, None, REFUSED, 1), by(2, EMAIL, GIVEN, 2)], [(2, 1, 3)], [], id="refused as a whole, a device gives"
        ),
        pytest.param(
            [by(1, None, REFUSED, 1), by(2, EMAIL, GIVEN, 2), by(1, EMAIL, GIVEN, 4)],
            [(2, 1, 3)],
            [EMAIL],
            id="refused as a whole, given after the join",
        ),
        pytest.param(
            [by(3, EMAIL, REFUSED, 1), by(2, EMAIL, GIVEN, 4)],
            [(3, 2, 3), (2, 1, 6)],
            [EMAIL],
            id="given between the joins of a chain",
        ),
        pytest.param(
            [by(3, EMAIL, REFUSED, 1), by(2, EMAIL, GIVEN, 4)],
            [(3, 1, 3), (2, 1, 6)],
            [],
            id="another device lifts nothing",
        ),
        pytest.param([by(2, EMAIL, GIVEN, 1)], [(2, 1, 3)], [EMAIL], id="nobody refused"),
        pytest.param(
            [by(1, EMAIL, GIVEN, 1), by(1, None, REFUSED, 2), by(1, None, GIVEN, 3)],
            [],
            [EMAIL],
            id="refused and given as a whole",
        ),
        pytest.param(
            [by(2, None, REFUSED, 1), by(1, SMS, GIVEN, 2), by(1, EMAIL, GIVEN, 4)],
            [(2, 1, 3)],
            [EMAIL],
            id="a whole refusal is lifted for the channel alone",
        ),
    ],
)
def test_of_two_who_turn_out_to_be_one_the_stricter_holds(
    asked: Asked, said: list[Said], merges: list[tuple[int, int, int]], stand: list[str]
) -> None:
    assert asked.channels(consents(said), merged(*merges)) == stand


def test_a_purpose_refused_on_one_device_is_not_given_back_by_another(asked: Asked) -> None:
    purpose = "personalisation"
    answer = {"trait": "skin_need", "answer": "acne", "event": "Question Answered", "event_id": "a"}
    told = consents([])[0] | answer
    said: list[Said] = [(2, None, purpose, REFUSED, 1), (1, None, purpose, GIVEN, 2)]
    joined = merged((2, 1, 3))
    assert asked.row([*consents(said), told], joined)["declared"] in (None, "{}")
    assert asked.withdrawn(consents(said), joined) == {purpose}
    said.append((1, None, purpose, GIVEN, 4))
    assert "acne" in asked.row([*consents(said), told], joined)["declared"]
    assert asked.withdrawn(consents(said), joined) == set()


def test_a_purpose_withdrawn_with_a_channel_is_withdrawn_as_a_whole(asked: Asked) -> None:
    said: list[Said] = [(1, EMAIL, "personalisation", REFUSED, 1)]
    told = consents([])[0] | {"trait": "skin_need", "answer": "acne", "event": "Question Answered", "event_id": "a"}
    assert asked.row([*consents(said), told])["declared"] in (None, "{}")
    assert asked.withdrawn(consents(said)) == {"personalisation"}
    said.append((1, EMAIL, "personalisation", GIVEN, 2))  # less than what was withdrawn
    assert asked.withdrawn(consents(said)) == {"personalisation"}


SERVICE = "service"


@pytest.mark.parametrize(
    ("said", "stand"),
    [
        pytest.param([(1, EMAIL, SERVICE, GIVEN, 1)], ["email/service"], id="given by itself"),
        pytest.param(
            [(1, EMAIL, SERVICE, GIVEN, 1), (1, EMAIL, "marketing", GIVEN, 1), (1, EMAIL, "marketing", REFUSED, 2)],
            ["email/service"],
            id="marketing refused on the channel",
        ),
        pytest.param(
            [(1, EMAIL, SERVICE, GIVEN, 1), (1, EMAIL, None, REFUSED, 2)], [], id="the channel refused for anything"
        ),
        pytest.param(
            [(1, EMAIL, None, REFUSED, 1), (1, EMAIL, SERVICE, GIVEN, 2)], ["email/service"], id="given after that"
        ),
        pytest.param(
            [(1, EMAIL, SERVICE, GIVEN, 1), (1, SMS, None, REFUSED, 2)], ["email/service"], id="another channel refused"
        ),
        pytest.param([(1, EMAIL, SERVICE, GIVEN, 1), (1, None, None, REFUSED, 2)], [], id="refused as a whole"),
        pytest.param(
            [
                (1, EMAIL, SERVICE, GIVEN, 1),
                (1, SMS, SERVICE, GIVEN, 1),
                (1, EMAIL, None, GIVEN, 1),
                (1, SMS, SERVICE, REFUSED, 2),
                (1, SMS, SERVICE, GIVEN, 3),
            ],
            ["email", "sms/service"],
            id="the purpose refused, wherever it was said, and given again on one channel",
        ),
    ],
)
def test_another_purpose_has_consents_of_its_own(asked: Asked, said: list[Said], stand: list[str]) -> None:
    assert asked.channels(consents(said)) == stand


statements = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([EMAIL, SMS, None]),
        st.sampled_from([None, "marketing", "personalisation"]),
        st.booleans(),
        st.integers(1, 9),
    ).filter(lambda one: one[1] is None or one[2] != "personalisation"),
    max_size=9,
)
forests = st.sampled_from([(), ((2, 1),), ((3, 1), (2, 1)), ((3, 2), (2, 1)), ((2, 3), (3, 1))])


@settings(max_examples=15, deadline=None)
@given(said=statements)
def test_without_joins_the_newest_statement_holds_as_ever(asked: Asked, said: list[Said]) -> None:
    alone = [(1, *one[1:]) for one in said]
    events = consents(alone)
    newest: dict[tuple[str | None, str | None], tuple[int, str, bool]] = {}
    for n, (_, channel, purpose, is_given, at) in enumerate(alone):
        about = purpose if channel is None else "marketing"
        newest[channel, about] = max(newest.get((channel, about), (0, "", True)), (at, f"e{n}", is_given))
    as_a_whole = [one for (channel, about), one in newest.items() if channel is None and about != "personalisation"]
    silent = max((at for at, _, is_given in as_a_whole if not is_given), default=0)
    stand = sorted(ch for (ch, _), (at, _, ok) in newest.items() if ch is not None and ok and at > silent)
    assert asked.channels(events) == stand
    assert asked.withdrawn(events) == {
        about for (ch, about), one in newest.items() if ch is None and about and not one[2]
    }


@settings(max_examples=25, deadline=None)
@given(said=statements, forest=forests, at=st.lists(st.integers(0, 10), min_size=2, max_size=2))
def test_the_rule_holds_whoever_was_joined_and_when(
    asked: Asked, said: list[Said], forest: tuple[tuple[int, int], ...], at: list[int]
) -> None:
    """Against the rule written out: every refusal against every consent."""
    merges = merged(*((a, b, n) for (a, b), n in zip(forest, sorted(at), strict=False)))
    known = {(link.from_key, link.into_key): link.known_at for link in links(merges)}
    keys = {1, *(a for a, _ in forest)}

    def lifts(n: int, m: int) -> bool:
        yes, no = said[n], said[m]
        is_later = (yes[4], f"e{n}") > (no[4], f"e{m}") if yes[1] == no[1] else yes[4] > no[4]
        return is_later and (
            yes[0] == no[0] or known.get((no[0], yes[0]), instant_us(NOON)) <= instant_us(hour(yes[4]))
        )

    mine = [n for n, one in enumerate(said) if one[0] in keys]
    gave, refused = ([n for n in mine if said[n][3] is is_given] for is_given in (GIVEN, REFUSED))

    def stands(m: int) -> bool:
        def is_same(n: int) -> bool:
            return said[n][1] == said[m][1] and (said[m][1] is not None or said[n][2] == said[m][2])

        return not any(is_same(n) and lifts(n, m) for n in gave)

    against = [m for m in refused if stands(m)]
    expected = sorted(
        channel
        for channel in (EMAIL, SMS)
        if any(said[n][1] == channel for n in gave)
        and not any(said[m][1] == channel for m in against)
        and all(
            any(said[n][1] == channel and lifts(n, m) for n in gave)
            for m in against
            if said[m][1] is None and said[m][2] in (None, "marketing")
        )
    )
    events = consents(said)
    assert asked.channels(events, merges) == expected
    mine_only = [event for event in events if event["customer_key"] in keys]
    whole = {said[m][2] for m in against if said[m][1] is None and said[m][2] is not None}
    assert asked.withdrawn(mine_only, merges) == whole
