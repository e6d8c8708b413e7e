"""What customers do without ordering: visits, advertisements, the weekly newsletter, consents."""

from __future__ import annotations

import datetime as dt

import numpy as np

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.calendar import REGIONS, Season
from experiments.simulator.population import NEVER, Population, type_b, type_f, type_i
from experiments.simulator.purchases import MINUTE_US, add_product_events
from experiments.simulator.tables import CAMPAIGNS, CHANNELS, DAY_US, EventRows, instants

VIEWS_A_VISIT = 3.0
_CARTS_A_VISIT = 0.14
_NEWSLETTER_WEEKDAY = 1
_VISITS_ONCE_LAPSED = 0.12


def add_visits(
    rows: EventRows,
    rng: np.random.Generator,
    population: Population,
    *,
    has_lapsed: type_b,
    first_day: int,
    season: Season,
    origin_us: int,
) -> None:
    """Adds the page and product views of visits that end without an order."""
    n_days, n = has_lapsed.shape
    column = population.kind * len(REGIONS) + population.region
    chance = season.visits[first_day : first_day + n_days][:, column] * population.visit_rate.astype(np.float32)
    chance *= np.where(has_lapsed, np.float32(_VISITS_ONCE_LAPSED), np.float32(1.0))
    days = first_day + np.arange(n_days)
    chance[days[:, None] < population.signup_day[None, :]] = 0.0
    day, customer = np.nonzero(rng.random((n_days, n), dtype=np.float32) < chance)
    part = b.part_of_day(population.region[customer], rng.random(len(customer)))
    time = instants(origin_us, day + first_day, part)
    rows.add("Page Viewed", customer=customer, time=time, channel=0)
    again = np.repeat(np.arange(len(customer)), rng.poisson(0.5, len(customer)))
    rows.add("Page Viewed", customer=customer[again], time=_later(rng, time[again], 20), channel=0)
    viewed = np.repeat(np.arange(len(customer)), rng.poisson(VIEWS_A_VISIT, len(customer)))
    add_product_events(
        rows, rng, population, event="Product Viewed", customer=customer[viewed], time=_later(rng, time[viewed], 25)
    )
    carts = np.flatnonzero(rng.random(len(customer)) < _CARTS_A_VISIT)
    add_product_events(
        rows, rng, population, event="Product Added", customer=customer[carts], time=_later(rng, time[carts], 25)
    )


def _later(rng: np.random.Generator, time: type_i, minutes: int) -> type_i:
    # Within the same UTC day, so that what is simulated never leaks over the end.
    later = time + rng.integers(1, minutes * 60, len(time)) * (MINUTE_US // 60)
    return np.asarray(np.minimum(later, time // DAY_US * DAY_US + DAY_US - 1))


def _part_of_signup(customer: type_i) -> type_f:
    # Spread over the morning, so that a first conversation on the same day comes after it.
    return 0.02 + (customer * 7919 % 997) / 2_600.0


def add_newcomers_advertisements(
    rows: EventRows, rng: np.random.Generator, population: Population, *, origin_us: int
) -> None:
    """Adds the advertisements that brought newcomers."""
    newcomers = np.flatnonzero((population.signup_day > 0) & (rng.random(len(population)) < 0.55))
    came = instants(origin_us, population.signup_day[newcomers], _part_of_signup(newcomers))
    campaign = rng.choice([CAMPAIGNS.index("search_ads"), CAMPAIGNS.index("social_video")], size=len(newcomers))
    seen = np.repeat(np.arange(len(newcomers)), 1 + rng.poisson(1.2, len(newcomers)))
    before = came[seen] - 5 * MINUTE_US - (rng.random(len(seen)) * DAY_US).astype(np.int64)
    rows.add("Ad Viewed", customer=newcomers[seen], time=np.maximum(before, origin_us), campaign=campaign[seen])
    rows.add("Ad Clicked", customer=newcomers, time=came - 4 * MINUTE_US, campaign=campaign)


def add_retargeting(
    rows: EventRows, rng: np.random.Generator, population: Population, *, first_day: int, n_days: int, origin_us: int
) -> None:
    """Adds the advertisements that follow those who are known."""
    whom = np.repeat(np.arange(len(population)), rng.poisson(n_days / 120.0, len(population)))
    day = first_day + rng.integers(0, n_days, len(whom))
    known = day > population.signup_day[whom]
    whom, day = whom[known], day[known]
    time = instants(origin_us, day, rng.random(len(day)))
    retargeting = CAMPAIGNS.index("retargeting")
    rows.add("Ad Viewed", customer=whom, time=time, campaign=retargeting)
    clicks = rng.random(len(whom)) < 0.06 * population.engagement[whom]
    rows.add("Ad Clicked", customer=whom[clicks], time=_later(rng, time[clicks], 2), campaign=retargeting)


def has_email(population: Population, day: type_i | int) -> type_b:
    """Whether email consent stands on a day."""
    return np.asarray((population.email_from_day <= day) & (day < population.email_until_day))


def add_newsletters(
    rows: EventRows, rng: np.random.Generator, population: Population, *, first: dt.date, n_days: int, origin_us: int
) -> None:
    """Adds the Tuesday newsletter to everyone with consent: not randomised, its effect is part of the organic rate."""
    newsletter, email = CAMPAIGNS.index("newsletter"), CHANNELS.index("email")
    bestsellers = k.ACTION_INDEX["bestsellers"]
    tuesdays = np.flatnonzero((first.weekday() + np.arange(n_days)) % 7 == _NEWSLETTER_WEEKDAY)
    wants = (population.email_from_day[None, :] < tuesdays[:, None]) & (
        tuesdays[:, None] < population.email_until_day[None, :]
    )
    week, customer = np.nonzero(wants)
    time = instants(origin_us, tuesdays[week], np.full(len(week), 4.5 / 24.0))
    words = {"campaign": newsletter, "action_id": bestsellers, "channel": email}
    rows.add("Message Sent", customer=customer, time=time, **words)
    opens = rng.random(len(customer)) < (0.26 * population.engagement[customer]).clip(max=0.9)
    opened_at = _later(rng, time[opens], 17 * 60)
    rows.add("Message Opened", customer=customer[opens], time=opened_at, **words)
    clicks = rng.random(len(opened_at)) < 0.11
    rows.add("Message Clicked", customer=customer[opens][clicks], time=_later(rng, opened_at[clicks], 9), **words)


def chat_channel(population: Population) -> type_i:
    """The chat channel of each customer: LINE in Thailand, WhatsApp elsewhere."""
    return np.where(population.region == REGIONS.index("TH"), CHANNELS.index("line"), CHANNELS.index("whatsapp"))


def add_people(rows: EventRows, population: Population, *, first_day: int, n_days: int, origin_us: int) -> None:
    """Adds who became known (identify) and which consents were given or withdrawn within the days."""
    everyone = np.arange(len(population))
    last_day = first_day + n_days

    def when(day: type_i) -> tuple[type_i, type_i]:
        now = everyone[(day >= first_day) & (day < last_day)]
        return now, instants(origin_us, day[now], _part_of_signup(now))

    known, time = when(population.signup_day)
    rows.add("identify", customer=known, time=time, locale=population.locale[known], time_zone=population.region[known])
    chat = chat_channel(population)
    email = np.full(len(population), CHANNELS.index("email"))
    for event, day, channel in (
        ("Consent Given", population.email_from_day, email),
        ("Consent Withdrawn", population.email_until_day, email),
        ("Consent Given", population.chat_from_day, chat),
        ("Consent Withdrawn", population.chat_until_day, chat),
    ):
        whom, time = when(np.where(day >= NEVER, -1, day))
        rows.add(event, customer=whom, time=time + 1_000_000, channel=channel[whom], purpose=0)
    joined, time = when(np.where((everyone % 5 < 2) & (population.email_from_day < NEVER), population.signup_day, -1))
    rows.add("Subscribed", customer=joined, time=time + 2_000_000, channel=CHANNELS.index("email"))
