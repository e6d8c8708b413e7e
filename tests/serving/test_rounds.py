"""A group is given a moment for those who were just answered, and nobody else's time is spent on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from serving import rounds
from serving.rounds import Rounds

FOR_EVER = 3_600.0


@dataclass
class Asked:
    """Somebody who waits."""

    future: asyncio.Future[None]


class World:
    """Groups as they were taken; each is answered when the test says so."""

    def __init__(self) -> None:
        self.groups: list[list[Asked]] = []
        self.rounds: Rounds[Asked] = Rounds(self.groups.append)

    async def ask(self, n: int) -> list[Asked]:
        """So many, each in a turn of its own."""
        loop = asyncio.get_running_loop()
        asked = [Asked(loop.create_future()) for _ in range(n)]
        for one in asked:
            self.rounds.add(one, loop)
            await turns()
        return asked

    async def answer(self) -> None:
        """All of the newest group."""
        for one in self.groups[-1]:
            if not one.future.done():
                one.future.set_result(None)
        await turns()

    @property
    def sizes(self) -> list[int]:
        return [len(group) for group in self.groups]


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[World], Awaitable[None]]], World]:
    """Plays in a world where a moment never ends by itself."""
    monkeypatch.setattr(rounds, "LONGEST_MOMENT_SECONDS", FOR_EVER)
    monkeypatch.setattr(rounds, "_SHARE_OF_A_GROUP", 1e12)

    def played(of: Callable[[World], Awaitable[None]]) -> World:
        world = World()

        async def whole() -> None:
            await asyncio.wait_for(of(world), timeout=60)

        asyncio.run(whole())
        return world

    return played


Play = Callable[[Callable[[World], Awaitable[None]]], World]


def test_those_who_were_answered_together_are_one_group_again(play: Play) -> None:
    async def story(world: World) -> None:
        await world.ask(1)
        await world.ask(3)  # while the first is under way
        await world.answer()
        await world.ask(1)
        assert world.sizes == [1, 4]
        await world.answer()
        await world.ask(3)
        assert world.sizes == [1, 4], "the fourth was answered with them, and is given a moment"
        await world.ask(1)

    assert play(story).sizes == [1, 4, 4]


def test_two_halves_that_would_take_turns_become_one(play: Play) -> None:
    async def story(world: World) -> None:
        await world.ask(1)
        await world.ask(3)
        await world.answer()
        assert world.sizes == [1], "three wait, and the one who was answered may come back"
        await world.ask(1)

    assert play(story).sizes == [1, 4]


def test_one_client_alone_never_waits(play: Play) -> None:
    async def story(world: World) -> None:
        for _ in range(3):
            await world.ask(1)
            await world.answer()

    assert play(story).sizes == [1, 1, 1]


def test_who_went_away_is_not_expected_back(play: Play) -> None:
    async def story(world: World) -> None:
        (gone,) = await world.ask(1)
        await world.ask(2)
        gone.future.cancel()
        await turns()

    assert play(story).sizes == [1, 2]


def test_where_they_stay_away_the_moment_ends_and_the_next_groups_are_given_none(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        await world.ask(1)
        await world.ask(2)
        monkeypatch.setattr(rounds, "LONGEST_MOMENT_SECONDS", 0.001)
        await world.answer()
        while world.sizes == [1]:
            await asyncio.sleep(0.001)
        assert world.sizes == [1, 2]
        monkeypatch.setattr(rounds, "LONGEST_MOMENT_SECONDS", FOR_EVER)
        await world.answer()
        await world.ask(1)
        assert world.sizes == [1, 2, 1], "nobody is waited for so soon after they stayed away"

    play(story)


def test_closing_in_such_a_moment_hands_over_who_waits(play: Play) -> None:
    async def story(world: World) -> None:
        await world.ask(1)
        await world.ask(2)
        await world.answer()
        assert world.sizes == [1]
        world.rounds.hand_over_all()

    assert play(story).sizes == [1, 2]
