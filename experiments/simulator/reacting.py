"""What comes back from an action: clicked, replied, refused, converted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from experiments.simulator import behaviour as b
from experiments.simulator.calendar import Season
from experiments.simulator.ordering import Touches
from experiments.simulator.population import Population, State, type_b, type_f, type_i

OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("exposure", pa.int64(), nullable=False),  # position of the exposure that was given
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("action_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # clicked | replied | refused | converted
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64()),  # of a conversion: the order's total
    ]
)
_HOUR_US = 3_600_000_000
_REPLIES_A_CLICK = 0.45
# Those who go on to order have mostly clicked before.
_BUYERS_CLICK = 3.0
_BUYERS_CLICK_AT_LEAST = 0.12


@dataclass(frozen=True, slots=True)
class Reactions:
    """How each touch was received; the instants are given for all, to be read where something happened."""

    clicked: type_b
    replied: type_b
    refused: type_b
    clicked_at: type_i
    replied_at: type_i
    refused_at: type_i


def draw_reactions(
    rng: np.random.Generator,
    people: Population,
    state: State,
    touches: Touches,
    *,
    at_us: type_i,
    ordered_at_us: type_i,
    until_us: type_i,
    can_reply: type_b,
    season: Season,
) -> Reactions:
    """Draws the reactions to touches, one a row.

    Args:
        rng: the source of chance.
        people: who was touched, one a row.
        state: their state at the touch.
        touches: action and day of each row.
        at_us: the instant of each.
        ordered_at_us: when an order followed, or a value not after `at_us` where none did.
        until_us: reactions happen before this instant.
        can_reply: whether the channel is a conversation.
        season: the season of the world's days.
    """
    n = len(at_us)
    chance = b.click_probability(people, state, action=touches.action, day=touches.day, season=season)
    buys = ordered_at_us > at_us
    chance = np.where(buys & (touches.action > 0), np.maximum(_BUYERS_CLICK * chance, _BUYERS_CLICK_AT_LEAST), chance)
    refused = rng.random(n) < b.refusal_probability(people, touches.action)
    clicked = ~refused & (rng.random(n) < chance.clip(max=0.9))
    delay = (rng.exponential(2.5, n) * _HOUR_US).astype(np.int64) + 5_000_000
    latest = np.where(buys, ordered_at_us, until_us)
    clicked_at = np.minimum(at_us + delay, at_us + ((latest - at_us) * 0.9).astype(np.int64))
    replied = clicked & can_reply & (rng.random(n) < _REPLIES_A_CLICK)
    return Reactions(clicked, replied, refused, clicked_at, np.minimum(clicked_at + 20_000_000, latest - 1), clicked_at)


def outcome_table(
    exposure: type_i,
    customer_ids: pa.Array,
    action_ids: pa.Array,
    *,
    reactions: Reactions,
    converted: tuple[type_i, type_i, type_f],
) -> pa.Table:
    """The outcomes in time order, one row an outcome.

    Args:
        exposure: the position of each touch among the exposures given.
        customer_ids: of each exposure given.
        action_ids: of each exposure given.
        reactions: of each touch.
        converted: of each order: the exposure's position, the instant, the total.
    """
    parts = [
        ("clicked", exposure[reactions.clicked], reactions.clicked_at[reactions.clicked], None),
        ("replied", exposure[reactions.replied], reactions.replied_at[reactions.replied], None),
        ("refused", exposure[reactions.refused], reactions.refused_at[reactions.refused], None),
        ("converted", *converted),
    ]
    position = np.concatenate([part[1] for part in parts])
    at = np.concatenate([part[2] for part in parts])
    value = [pa.nulls(len(part[1]), pa.float64()) if part[3] is None else pa.array(part[3]) for part in parts]
    name = np.concatenate([np.full(len(part[1]), part[0], dtype="U9") for part in parts])
    columns = [
        pa.array(position),
        customer_ids.take(pa.array(position)),
        action_ids.take(pa.array(position)),
        pa.array(name, pa.string()),
        pa.array(at).cast(pa.timestamp("us", tz="UTC")),
        pa.concat_arrays(value),
    ]
    return pa.Table.from_arrays(columns, schema=OUTCOME_SCHEMA).sort_by(
        [("at", "ascending"), ("exposure", "ascending")]
    )
