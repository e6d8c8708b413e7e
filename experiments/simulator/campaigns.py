"""One past campaign, randomised with known probabilities, controls included."""

from __future__ import annotations

import numpy as np

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.browsing import chat_channel, has_email
from experiments.simulator.calendar import Season
from experiments.simulator.ordering import Touches
from experiments.simulator.population import Population, State
from experiments.simulator.tables import ARMS, CAMPAIGNS, CHANNELS, EventRows, instants
from features.catalogue import NOTHING

CAMPAIGN = "glow_again"
PROBABILITIES = {
    NOTHING: 0.25,
    "curated_set": 0.20,
    "bestsellers": 0.20,
    "winback_offer": 0.20,
    "replenish_reminder": 0.15,
}
_SENT_AT = 5.0 / 24.0


def campaign_day(n_days: int) -> int:
    """The day of the campaign: at three fifths of the history, so that its effect is over before the end."""
    return int(n_days * 0.6)


def draw_campaign(rng: np.random.Generator, population: Population, *, n_days: int) -> Touches:
    """Draws an action for everyone who was reachable that day, control (`nothing`) among them."""
    day = campaign_day(n_days)
    chat = (population.chat_from_day < day) & (day < population.chat_until_day)
    whom = np.flatnonzero((population.signup_day < day) & (has_email(population, day - 1) | chat))
    actions = np.array([k.ACTION_INDEX[name] for name in PROBABILITIES])
    action = actions[rng.choice(len(actions), size=len(whom), p=list(PROBABILITIES.values()))]
    return Touches(whom, action, np.full(len(whom), day), np.full(len(whom), _SENT_AT))


def add_messages(
    rows: EventRows,
    rng: np.random.Generator,
    population: Population,
    touches: Touches,
    *,
    state: State,
    season: Season,
    origin_us: int,
    campaign: str = CAMPAIGN,
    probabilities: dict[str, float] | None = None,
) -> None:
    """Adds each message sent, with its probability where it was randomised, and whether it was opened or clicked."""
    time = instants(origin_us, touches.day, touches.part)
    people = population.take(touches.customer)
    chat = chat_channel(people)
    channel = np.where(has_email(people, touches.day), CHANNELS.index("email"), chat)
    words = {"campaign": CAMPAIGNS.index(campaign), "action_id": touches.action, "channel": channel}
    logged = {}
    if probabilities is not None:
        by_action = np.zeros(len(k.ACTIONS))
        by_action[[k.ACTION_INDEX[name] for name in probabilities]] = list(probabilities.values())
        arm = np.where(touches.action == 0, ARMS.index("control"), ARMS.index("treatment"))
        logged = {"action_probability": by_action[touches.action], "arm": arm}
    rows.add("Message Sent", customer=touches.customer, time=time, **words, **logged)
    chance = b.click_probability(
        people, state.take(touches.customer), action=touches.action, day=touches.day, season=season
    )
    opens = rng.random(len(touches)) < (0.2 * people.engagement + 1.5 * chance).clip(0.0, 0.9) * (touches.action > 0)
    clicks = opens & (rng.random(len(touches)) < 0.5 * chance)
    delay = (rng.exponential(90.0, len(touches)).clip(max=900.0) * 60e6).astype(np.int64)
    for event, chosen, extra in (("Message Opened", opens, 0), ("Message Clicked", clicks, 40_000_000)):
        rows.add(
            event,
            customer=touches.customer[chosen],
            time=(time + delay + extra)[chosen],
            campaign=CAMPAIGNS.index(campaign),
            action_id=touches.action[chosen],
            channel=channel[chosen],
        )
