"""What customers say of themselves in chat: with gaps, with changes of mind, and not always what they then do."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from experiments.simulator import kinds as k
from experiments.simulator.browsing import chat_channel
from experiments.simulator.population import Population, type_i
from experiments.simulator.tables import TRAITS, EventRows, instants

# How often each question is answered by someone who answers at all: gaps.
_ANSWERED = dict(zip(TRAITS, (0.82, 0.78, 0.6, 0.66, 0.42, 0.22), strict=True))
# How often an answer is not the truth: a slip, a wish, or a different day.
_UNTRUE = dict(zip(TRAITS, (0.08, 0.0, 0.04, 0.22, 0.0, 0.0), strict=True))
_ASKED_AGAIN = 0.35
# Conversations begin in these parts of a UTC day: afternoon in India, evening in Thailand, after getting known.
_FROM, _UNTIL = 0.42, 0.62
_STEP_US = 35_000_000
_FIRST_BIRTHDAY, _LAST_BIRTHDAY = dt.date(1930, 1, 1), dt.date(2015, 1, 1)
_EPOCH = dt.date(1970, 1, 1)
_INCOME_STEP = 1_000


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[pa.Array, dict[str, int]]:
    masks = [json.dumps([name for bit, name in enumerate(k.INTERESTS) if mask >> bit & 1]) for mask in range(16)]
    n_dates = (_LAST_BIRTHDAY - _FIRST_BIRTHDAY).days
    dates = [(_FIRST_BIRTHDAY + dt.timedelta(days=day)).isoformat() for day in range(n_dates)]
    incomes = [str(step * _INCOME_STEP) for step in range(600)]
    parts = {
        "skin_need": list(k.SKIN_NEEDS),
        "interests": masks,
        "life_stage": list(k.LIFE_STAGES),
        "price_preference": list(k.PRICE_PREFERENCES),
        "birthday": dates,
        "income": incomes,
    }
    starts: dict[str, int] = {}
    words: list[str] = []
    for trait in TRAITS:
        starts[trait] = len(words)
        words += parts[trait]
    return pa.array(words, pa.string()), starts


@dataclass(frozen=True, slots=True)
class Talks:
    """Conversations: who, on which day, at which instant."""

    customer: type_i
    day: type_i
    time: type_i


def draw_talks(rng: np.random.Generator, population: Population, *, n_days: int, origin_us: int) -> Talks:
    """Who is asked when: most of those willing soon after they become known, some again months later."""
    willing = np.flatnonzero(rng.random(len(population)) < k.ANSWERS_WILLINGLY[population.kind])
    first = population.signup_day[willing] + rng.exponential(6.0, len(willing)).astype(np.int64)
    again = rng.random(len(willing)) < _ASKED_AGAIN
    second = first[again] + 40 + rng.exponential(120.0, int(again.sum())).astype(np.int64)
    customer, day = np.concatenate([willing, willing[again]]), np.concatenate([first, second])
    within = day < n_days
    customer, day = customer[within], day[within]
    return Talks(customer, day, instants(origin_us, day, rng.uniform(_FROM, _UNTIL, len(day))))


def draw_new_talks(
    rng: np.random.Generator, population: Population, *, first_day: int, n_days: int, origin_us: int
) -> Talks:
    """Who is asked again in a few days: one in two hundred a day of those who answer willingly."""
    chance = k.ANSWERS_WILLINGLY[population.kind] * 0.005
    day, customer = np.nonzero(rng.random((n_days, len(population))) < chance)
    day = day + first_day
    return Talks(customer, day, instants(origin_us, day, rng.uniform(_FROM, _UNTIL, len(day))))


def add_talks(rows: EventRows, rng: np.random.Generator, population: Population, talks: Talks, *, name: str) -> None:
    """Adds the answers of conversations, one row a trait that was answered."""
    words, starts = _vocabulary()
    channel = chat_channel(population)
    for step, trait in enumerate(TRAITS):
        answered = np.flatnonzero(rng.random(len(talks.customer)) < _ANSWERED[trait])
        whom = talks.customer[answered]
        truth = _truth(population, trait, whom, talks.day[answered])
        untrue = rng.random(len(whom)) < _UNTRUE[trait]
        truth = np.where(untrue, _something_else(rng, trait, truth), truth)
        conversations = pa.array([f"{name}-{number}" for number in answered])
        rows.add(
            "Question Answered",
            customer=whom,
            time=talks.time[answered] + step * _STEP_US,
            answers=words,
            trait=step,
            answer=starts[trait] + truth,
            conversation_id=conversations,
            channel=channel[whom],
        )


def _truth(population: Population, trait: str, whom: type_i, day: type_i) -> type_i:
    if trait == "life_stage":
        people = population.take(whom)
        return people.life_stage_on(day)
    if trait == "birthday":
        offset = (_FIRST_BIRTHDAY - _EPOCH).days
        return np.asarray((population.birthday[whom] - offset).clip(0, (_LAST_BIRTHDAY - _FIRST_BIRTHDAY).days - 1))
    if trait == "income":
        return np.asarray((population.income[whom] / _INCOME_STEP).astype(np.int64).clip(0, 599))
    latent = {"skin_need": population.skin_need, "interests": population.interests, "price_preference": population.tier}
    return latent[trait][whom]


def _something_else(rng: np.random.Generator, trait: str, truth: type_i) -> type_i:
    n = {"skin_need": 4, "life_stage": 4, "price_preference": 3}.get(trait, 0)
    if not n:
        return truth
    return np.asarray((truth + rng.integers(1, n, len(truth))) % n)
