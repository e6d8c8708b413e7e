"""Who the customers are: every latent quality of every customer, drawn once from the seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from experiments.simulator import kinds as k
from experiments.simulator.calendar import REGION_SHARES

NEVER = 1 << 30
LOCALES = ("en-IN", "hi-IN", "th-TH", "en-GB")
_HINDI_SHARE = 0.45

type_f = npt.NDArray[np.float64]
type_i = npt.NDArray[np.int64]
type_b = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Population:
    """One array a quality, one element a customer; days count from the world's first day."""

    kind: type_i
    region: type_i
    locale: type_i
    signup_day: type_i
    rate: type_f  # personal multiplier of the organic order rate, mean 1
    cycle: type_f  # days that one purchase lasts; refillers live by it
    sensitivity: type_f  # personal multiplier of every pull, mean 1
    do_not_disturb: type_b
    engagement: type_f  # multiplier of opens and clicks, mean 1
    visit_rate: type_f
    tier: type_i  # what they really buy: 0 value, 1 mid, 2 premium
    life_stage: type_i
    life_change_day: type_i
    next_life_stage: type_i
    skin_need: type_i
    interests: type_i  # bit mask over INTERESTS
    income: type_f
    birthday: type_i  # days since 1970-01-01
    email_from_day: type_i
    email_until_day: type_i
    chat_from_day: type_i
    chat_until_day: type_i
    first_lapse_day: type_i

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, index: type_i) -> Population:
        """The chosen customers, in that order."""
        return Population(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[Population]) -> Population:
        """All customers of the parts, in order."""
        return cls(
            **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)}
        )

    def life_stage_on(self, day: int | type_i) -> type_i:
        """The life stage on a day, as an index into LIFE_STAGES."""
        return np.where(self.life_change_day <= day, self.next_life_stage, self.life_stage)


def draw_population(rng: np.random.Generator, n: int, *, n_days: int) -> Population:
    """Draws `n` customers who come to know the brand somewhere in `n_days` days, a third of them before it begins."""
    kind = rng.choice(len(k.KINDS), size=n, p=k.KIND_SHARES)
    region = rng.choice(len(REGION_SHARES), size=n, p=REGION_SHARES)
    locale = np.select([region == 1, region == 2, rng.random(n) < _HINDI_SHARE], [2, 3, 1], 0)
    # The brand grows: later days bring more newcomers. Those of "before" all start on day 0.
    signup = (n_days * np.sqrt(rng.uniform(-0.35, 1.0, n).clip(min=0.0))).astype(np.int64)
    age = rng.gamma(9.0, 3.6, n).clip(17, 80)
    life = np.select([age < 23, rng.random(n) < 0.16 * (age < 42), age > 48], [0, 2, 3], 1)
    changes = rng.random(n) < 0.12
    after = np.select([life == 0, (life == 1) & (rng.random(n) < 0.6)], [1, 2], 3)
    email = rng.random(n) < 0.72
    chat = rng.random(n) < 0.58
    disturbed = rng.random(n) < k.DO_NOT_DISTURB_SHARE
    withdraws_after = rng.exponential(np.where(disturbed, 240.0, 3000.0), (2, n)).astype(np.int64) + 1
    tier = (rng.random(n)[:, None] > np.cumsum(k.TIER_SHARES, axis=1)[kind]).sum(axis=1).clip(max=2)
    interests = ((rng.random((n, 4)) < (0.62, 0.40, 0.38, 0.26)) * (1, 2, 4, 8)).sum(axis=1)
    first_lapse = signup + rng.exponential(k.LAPSE_BEFORE[kind]).astype(np.int64) + 3
    return Population(
        kind=kind,
        region=region,
        locale=locale,
        signup_day=signup,
        rate=rng.gamma(4.0, 0.25, n),
        cycle=rng.normal(42.0, 8.0, n).clip(24.0, 75.0),
        sensitivity=rng.gamma(5.0, 0.2, n),
        do_not_disturb=disturbed,
        engagement=rng.gamma(2.5, 0.4, n),
        visit_rate=k.VISITS_A_DAY[kind] * rng.gamma(3.0, 1 / 3, n),
        tier=tier,
        life_stage=life,
        life_change_day=np.where(changes, rng.integers(0, max(n_days, 1), n), NEVER),
        next_life_stage=after,
        skin_need=rng.integers(0, 4, n),
        interests=np.where(interests == 0, 1 << rng.integers(0, 4, n), interests),
        income=np.round(np.exp(rng.normal(10.9, 0.35, n)) * np.array([0.8, 1.0, 1.5])[tier], -2),
        birthday=(19_000 - age * 365.25).astype(np.int64),
        email_from_day=np.where(email, signup, NEVER),
        email_until_day=np.where(email, signup + withdraws_after[0], NEVER),
        chat_from_day=np.where(chat, signup + rng.integers(0, 20, n), NEVER),
        chat_until_day=np.where(chat, signup + 20 + withdraws_after[1], NEVER),
        first_lapse_day=first_lapse,
    )


@dataclass(slots=True)
class State:
    """What changes with each order; mutable, one element a customer."""

    last_order_day: type_i
    n_orders: type_i
    lapse_day: type_i

    @classmethod
    def at_the_beginning(cls, population: Population) -> State:
        """Nobody has ordered yet."""
        n = len(population)
        return cls(np.full(n, -NEVER), np.zeros(n, dtype=np.int64), population.first_lapse_day.copy())

    def take(self, index: type_i) -> State:
        """A copy of the chosen customers' state."""
        return State(self.last_order_day[index], self.n_orders[index], self.lapse_day[index])

    def put(self, index: type_i, other: State) -> None:
        """Overwrites the chosen customers' state."""
        self.last_order_day[index] = other.last_order_day
        self.n_orders[index] = other.n_orders
        self.lapse_day[index] = other.lapse_day
