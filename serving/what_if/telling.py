"""The answer to a what-if for people: as text and as a page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from serving.explaining.worth import money_of
from serving.what_if.asking import WhatIf
from serving.what_if.judging import LEFT_OUT_IN_WORDS

_SMALLEST_SHARE = 0.0005  # told as 0.0% otherwise
_WAYS = {
    "snips": "self-normalised weighting (SNIPS)",
    "ips": "plain weighting (IPS)",
    "dr": "doubly robust (DR)",
}


def as_text(told: WhatIf) -> str:
    """The answer for a terminal."""
    answer = told.as_dict()
    lines = [headline(told), *(f"  {line}" for line in _looked_at(told)), "", "Reward"]
    lines += [f"  {line}" for line in reward_in_words(told)]
    for segment in answer["segments"]:
        lines += ["", f"Segment {segment['segment']}: {segment['n_decisions']:,} decisions, share of each action"]
        lines += [
            f"  {one['action_id']:<32} {one['was']:>7.1%} → {one['would_be']:>7.1%}"
            for one in segment["actions"]
            if max(one["was"], one["would_be"]) >= _SMALLEST_SHARE
        ]
    lines += ["", "Reach: customers who could get it at least once"]
    lines += [
        f"  {one['action_id']:<32} {one['was_customers']:>7,} → {one['would_be_customers']:>7,}"
        for one in answer["reach"]
    ]
    lines += ["", "Suppressed, by rule"]
    lines += [f"  {one['rule']:<32} {one['was']:>7,} → {one['would_be']:>7,}" for one in answer["suppressions"]]
    if answer["budgets"]:
        lines += ["", "Budgets, in their fullest period"]
        lines += [f"  {one['budget']:<32} {line}" for one, line in _budgets(told, answer)]
    return "\n".join(lines)


def as_page(told: WhatIf) -> str:
    """The answer as one HTML page."""
    from serving.explaining.page import rendered

    answer = told.as_dict()
    for segment in answer["segments"]:
        segment["actions"] = [one for one in segment["actions"] if max(one["was"], one["would_be"]) >= _SMALLEST_SHARE]
    return rendered(
        "what_if.html.jinja",
        told=answer,
        brand=told.brand.name,
        headline=headline(told),
        looked_at=list(_looked_at(told)),
        reward=list(reward_in_words(told)),
        budgets=[{"name": one["budget"], "in_words": line} for one, line in _budgets(told, answer)],
    )


def headline(told: WhatIf) -> str:
    """The question, as a sentence."""
    return f"What if the catalogue were {told.catalogue_file}: {_day(told.since, told)} to {_day(told.until, told)}"


def reward_in_words(told: WhatIf) -> Iterator[str]:
    """The change in margin, the steadiest estimate first; else why there is none."""
    reward = told.reward()
    if reward["snips"]["change"] is None:
        yield f"No estimate: {reward['snips']['reason']}"
        if told.n_lists:
            yield f"{told.n_lists:,} decisions were ranked sets: what each action of one earned is not told apart."
        return

    def money(amount: float) -> str:
        return money_of(told.brand, amount)

    per_decision = reward["snips"]
    if per_decision["low"] > 0:
        yield "It would have earned more."
    elif per_decision["high"] < 0:
        yield "It would have earned less."
    else:
        yield "The log cannot tell whether it would have earned more or less."
    for name, words in _WAYS.items():
        one = reward[name]
        yield (
            f"{money(one['change'])} a decision by {words}; with 95% confidence from {money(one['low'])} to "
            f"{money(one['high'])}."
        )
    yield (
        f"What was done earned {money(reward['logged_margin'])} a decision, over {reward['n_decisions']:,} decisions "
        f"of {reward['n_customers']:,} customers, worth {reward['effective_n']:,.0f} of the changed catalogue's."
    )


def _looked_at(told: WhatIf) -> Iterator[str]:
    yield f"{told.n_decisions:,} decisions of {told.n_customers:,} customers were made once more."
    if told.n_held_out:
        yield f"{told.n_held_out:,} of held-out customers are left out."
    for reason, n in told.left_out.items():
        yield f"{n:,} are left out: {LEFT_OUT_IN_WORDS[reason]}."
    if told.n_open:
        yield f"{told.n_open:,} still wait for their outcomes, and are not in the reward."
    if told.n_lists:
        yield f"{told.n_lists:,} were ranked sets: their first action is in the shares, none is in the reward."
    changes = told.changes
    for words, names in (("New", changes.added), ("Gone", changes.removed)):
        if names:
            yield f"{words}: {', '.join(names)}."
    for action_id, keys in changes.changed.items():
        yield f"Changed: {action_id} ({', '.join(keys)})."
    yield from told.assumptions


def _budgets(told: WhatIf, answer: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for one in answer["budgets"]:
        used = []
        if one["at_most_units"] is not None:
            used.append(f"{one['units']:,.1f} of {one['at_most_units']:,} units")
        if one["at_most_amount"] is not None:
            used.append(f"{money_of(told.brand, one['amount'])} of {money_of(told.brand, one['at_most_amount'])}")
        share = f" ({one['used_share']:.0%})" if one["used_share"] is not None else ""
        every = f" a {one['every']}" if one["every"] else ""
        yield one, f"{', '.join(used) or format(one['units'], ',.1f') + ' codes'}{every}{share}"


def _day(instant: datetime, told: WhatIf) -> str:
    return f"{instant.astimezone(ZoneInfo(told.brand.time_zone)):%-d %B %Y}"
