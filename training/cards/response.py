"""What a response model's card says of its own: its learner, what it earned, whom it moves, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.cards.card import Section, Table


def sections_of(description: Mapping[str, Any]) -> list[Section]:
    """The middle of the card.

    Args:
        description: of the version, as in its model.json.
    """
    return [
        _says(description),
        _windows(description),
        _earned(description),
        _by_group(description),
        _tried(description),
        _moves(description),
    ]


def _says(description: Mapping[str, Any]) -> Section:
    actions = [one["action_id"] for one in description["actions"]]
    days = description["attribution_days"]
    return Section(
        "What it says",
        (
            f"What a customer is expected to earn within {days} days of a decision if an action is taken: the margin "
            "of all that follows, whoever was asked, less the incentives that are paid. The price of the channel is "
            "taken off where it is served.",
            f"Learner: {description['learner']}. {description['why']}",
            f"It speaks of {len(actions)} actions, uplift counted from '{actions[0]}': {', '.join(actions)}.",
            "It is no promise for one customer: most of what follows a decision is chance. What customers tell each "
            "other, and what a message does after its window, is not in it.",
        ),
    )


def _windows(description: Mapping[str, Any]) -> Section:
    rows = tuple((name.replace("_", " "), *span) for name, span in description["windows"].items())
    left_out = tuple((str(n), why) for why, n in description["left_out"].items())
    return Section(
        "What it was learned from",
        (f"{description['n_rows']:,} decisions of {description['n_customers']:,} customers.",),
        (
            Table(("decisions that", "first", "last"), rows),
            *([Table(("left out", "because"), left_out)] if left_out else []),
        ),
    )


def _earned(description: Mapping[str, Any]) -> Section:
    judged = description["judged"]
    names = {
        "model": "its policy",
        "rates": "the rates' policy",
        "best_single": "one action for everybody",
        "logged": "what was done",
        "gain_on_rates": "its gain on the rates",
        "gain_on_best_single": "its gain on one action for everybody",
    }
    return Section(
        "What it earned on later decisions",
        (
            f"A decision, doubly robust, on {judged['n']:,} decisions of {judged['n_customers']:,} customers that came "
            "after everything that taught the model judged here; they are worth "
            f"{judged['effective_n']:,.0f} of its own.",
        ),
        (Table(("policy", "value", "95% interval"), tuple(_row(names[one], judged[one]) for one in names)),),
    )


def _by_group(description: Mapping[str, Any]) -> Section:
    rows = tuple(
        (
            one["group"],
            f"{one['n']:,}",
            *_row("", one["rates"])[1:],
            *(_row("", one["gain"])[1:] if one["is_told"] else ("not told", "its policy was tried too rarely there")),
        )
        for one in description["judged_by_group"]
    )
    return Section(
        "What it earned in each group",
        (
            "A decision on those later decisions, by what was known when it was decided; groups of at least 5% of the "
            "decisions and 200 of them.",
        ),
        (Table(("group", "decisions", "the rates' policy", "95% interval", "its gain", "95% interval"), rows),),
    )


def _tried(description: Mapping[str, Any]) -> Section:
    rows = tuple(
        (
            one["learner"],
            *_row("", one["value"])[1:],
            *_row("", one["targeting"])[1:],
            f"{one['slope']['value']:.2f} ± {one['slope']['error']:.2f}",
        )
        for one in description["tried"]
    )
    return Section(
        "Learners that were tried",
        (
            "Each judged on customers who did not teach it, the simplest first.",
            "Targeting is the area of the curve: what treating those first whom it ranks first earns beyond treating "
            "as many at random. The slope is of the measured uplift on its own; 1 is honest.",
        ),
        (Table(("learner", "value of its policy", "95% interval", "targeting", "95% interval", "slope"), rows),),
    )


def _moves(description: Mapping[str, Any]) -> Section:
    groups = tuple(
        (str(place), str(one["n"]), f"{one['expected']:.4g}", *_row("", one["measured"])[1:])
        for place, one in enumerate(description["groups"], start=1)
    )
    quadrants = tuple((one["quadrant"], f"{one['share']:.1%}") for one in description["quadrants"])
    return Section(
        "Whom it moves",
        ("Fifths of customers by the uplift expected of their best action, with what was measured.",),
        (
            Table(("fifth", "decisions", "expected", "measured", "95% interval"), groups),
            Table(("quadrant", "share"), quadrants),
        ),
    )


def _row(name: str, told: Mapping[str, float]) -> tuple[str, str, str]:
    return name, f"{told['value']:.4g}", f"{told['low']:.4g} … {told['high']:.4g}"
