"""What one action is worth, taken apart: what is believed, what was counted, what it gives away, what it costs to send.

Invariant: the parts of a value sum to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec

from features.brand import Brand
from features.catalogue import NOTHING, Action

if TYPE_CHECKING:
    from features.formatting import Style

Money = Callable[[float], str]

PRIOR, COUNTS, INCENTIVE, PRICE = "prior", "counts", "incentive", "price"
QUESTION, ASKING = "question", "asking"
SILENCE, UPLIFT, RESPONSE, BASE = "silence", "uplift", "response", "base"
LEAST_COUNTED = 0.5
"""A decision counts as far as its attribution window has passed: what rounds to none is told as none."""


class Part(msgspec.Struct, frozen=True):
    """One part of a value, in the brand's currency; a struct, as an explanation has a hundred of them."""

    name: str
    amount: float
    in_words: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"name": self.name, "amount": self.amount, "in_words": self.in_words}


def worth_of(
    candidate: Mapping[str, Any],
    action: Action | None,
    *,
    brand: Brand,
    channel: str,
    purchase_propensity: float | None,
    silence: float | None = None,
) -> tuple[Part, ...]:
    """The parts of a candidate's value.

    Args:
        candidate: as a decision's record has it: value, rate, n_decided, n_converted, prior.
        action: of the catalogue that decided; None for `nothing`.
        brand: whose money and whose channels.
        channel: on which it would be said.
        purchase_propensity: P(buys within the middle horizon); None where no model said so.
        silence: what the response model expects of saying nothing; None where it was not asked about it.
    """
    if "reward" in candidate:
        return _of_response(candidate, brand, channel=channel, silence=silence)
    money = partial(money_of, brand)
    if (base := candidate.get("base")) is not None:
        by_rate = {name: amount for name, amount in candidate.items() if name != "base"} | {
            "value": candidate["value"] - base
        }
        told = worth_of(by_rate, action, brand=brand, channel=channel, purchase_propensity=purchase_propensity)
        return (*told, _base(base, money, days=brand.rewards.attribution_days, is_asking="worth" in candidate))
    value, rate, prior = candidate["value"], candidate["rate"], candidate["prior"]
    if action is not None and action.kind == "question":
        return _of_question(candidate, money)
    if candidate["action_id"] == NOTHING or action is None:
        goal = value / rate if rate else 0.0
        return (
            Part(PRIOR, prior * goal, f"{prior:.2%} reach the goal by themselves, worth {money(goal)} each."),
            Part(COUNTS, value - prior * goal, _counted(candidate, brand)),
        )
    parts = [
        Part(
            PRIOR,
            prior * action.value,
            f"Everywhere, {prior:.2%} of those who get it reach its goal, worth {money(action.value)} each.",
        ),
        Part(COUNTS, (rate - prior) * action.value, _counted(candidate, brand)),
    ]
    if action.incentive is not None and action.incentive.cost:
        parts.append(_incentive(action.incentive.cost, rate, purchase_propensity, money))
    if price := brand.channels[channel].price:
        parts.append(_price(price, channel, money))
    return tuple(parts)


def why_taken(value: float, values: Collection[float]) -> str:
    """Why a candidate was taken.

    Args:
        value: its own.
        values: of all that could have been taken, its own among them.
    """
    if len(values) == 1:
        return "the only one that may be said"
    return "the best value" if value == max(values) else "explored, to learn what it earns"


def _of_response(
    candidate: Mapping[str, Any], brand: Brand, *, channel: str, silence: float | None
) -> tuple[Part, ...]:
    """What a response model expects of this customer, and what it costs to send."""
    money, reward, days = partial(money_of, brand), candidate["reward"], brand.rewards.attribution_days
    within = f"within {days} day{'' if days == 1 else 's'}"
    if candidate["action_id"] == NOTHING:
        return (Part(RESPONSE, reward, f"Of somebody like this the response model expects {money(reward)} {within}."),)
    if silence is None:
        words = (
            f"Of somebody like this who gets it the response model expects {money(reward)} {within}, incentives paid."
        )
        parts = [Part(RESPONSE, reward, words)]
    else:
        more, amount = ("more", reward - silence) if reward >= silence else ("less", silence - reward)
        parts = [
            Part(SILENCE, silence, f"If nothing is said, the response model expects {money(silence)} {within}."),
            Part(
                UPLIFT, reward - silence, f"Of somebody like this who gets it, {money(amount)} {more}, incentives paid."
            ),
        ]
    if price := brand.channels[channel].price:
        parts.append(_price(price, channel, money))
    return tuple(parts)


def _base(base: float, money: Money, *, days: int, is_asking: bool) -> Part:
    """What puts a value without a reward beside those of the response model."""
    within = f"within {days} day{'' if days == 1 else 's'}"
    if is_asking:
        return Part(BASE, base, f"Whatever is asked, the response model expects {money(base)} {within}.")
    more, amount, done = ("more", base, "added") if base >= 0.0 else ("less", -base, "taken off")
    words = "The response model does not know this action (it is new, or was changed); of the others here it expects "
    words += f"on average {money(amount)} {more} {within} than their rates say"
    return Part(BASE, base, f"{words}. So that it is compared fairly with them, {money(amount)} is {done}.")


def _price(price: float, channel: str, money: Money) -> Part:
    return Part(PRICE, -price, f"Sending one message on {channel} costs {money(price)}.")


def _of_question(candidate: Mapping[str, Any], money: Money) -> tuple[Part, ...]:
    """What asking gains over the decisions to come, and what it costs."""
    worth = candidate.get("worth")
    if worth is None:
        return (Part(QUESTION, candidate["value"], "What asking is worth."),)
    gain = worth["gain"] * worth["decisions"]
    words = (
        f"Knowing the answer is worth {money(worth['gain'])} more a decision, over {worth['decisions']:.1f} decisions "
        "before it is out of date."
    )
    return (
        Part(QUESTION, gain, words),
        Part(ASKING, candidate["value"] - gain, f"Asking costs {money(worth['cost'])} in patience and postage."),
    )


def _incentive(cost: float, rate: float, propensity: float | None, money: Money) -> Part:
    redeemed = max(rate, propensity or 0.0)
    if propensity is not None and propensity > rate:
        why = f"{propensity:.2%} would buy anyway and redeem it too"
    else:
        why = f"{redeemed:.2%} would redeem it"
    return Part(INCENTIVE, -cost * redeemed, f"It gives away {money(cost)}, and {why}.")


def _counted(candidate: Mapping[str, Any], brand: Brand) -> str:
    """What was counted in this segment and stage, and how much it weighs against what was believed."""
    n_decided, n_converted, rate = candidate["n_decided"], candidate["n_converted"], candidate["rate"]
    return _counted_in_words(n_decided, n_converted, rate, brand.rewards.prior_strength)


@lru_cache(maxsize=8_192, typed=True)  # the same for everybody of a segment and stage
def _counted_in_words(n_decided: float, n_converted: int, rate: float, prior_strength: float) -> str:
    n = max(n_decided, n_converted)
    if not n:
        return "Nothing has been counted yet in this segment and stage."
    if n < LEAST_COUNTED:
        return f"In this segment and stage it is too new to have been counted: together {rate:.2%}."
    weight = n / (n + prior_strength)
    return (
        f"In this segment and stage {n_converted} of {n:.0f} reached it, which weighs {weight:.0%}: "
        f"together {rate:.2%}."
    )


def money_of(brand: Brand, amount: float) -> str:
    """An amount in the brand's currency, as its people write it."""
    voice = brand.locales[brand.default_locale]
    style = _style(voice.formatting_locale or brand.default_locale, brand.currency, brand.time_zone)
    return style.money(round(amount, 2) or 0.0)  # never "-0"


@cache
def _style(locale: str, currency: str, time_zone: str) -> Style:
    from features.formatting import Style  # by Babel, which the command line's help does not wait for

    return Style(locale, currency, time_zone)
