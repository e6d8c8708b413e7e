"""Questions as actions: one `ask_<trait>` for each trait that a placement of brand.yaml may ask for.

Its text is the trait's question; what a choice is called becomes a button that carries the trait and its value. Where
a channel shows too few or too short buttons, `ask_<trait>_in_words` lists the choices, and the customer types. A brand
that writes its own action of kind `question` for a trait asks with that one, and none is generated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from features.brand import Brand, Channel, Trait
from features.catalogue import Action, Catalogue, Rendering, Reply

QUESTION: Final = "question"
_TALKS = frozenset({"chat", "web", "sms"})  # kinds of channel on which an answer can be typed


def with_questions(catalogue: Catalogue, brand: Brand) -> Catalogue:
    """The catalogue with the questions that the brand's placements list; itself where there are none."""
    own = {action.asks for action in catalogue.actions if action.kind == QUESTION}
    generated = tuple(action for action in question_actions(brand) if action.asks not in own)
    return catalogue.model_copy(update={"actions": (*catalogue.actions, *generated)}) if generated else catalogue


def question_actions(brand: Brand) -> tuple[Action, ...]:
    """The generated questions, in the order of brand.yaml."""
    return tuple(action for name, trait in brand.traits.items() for action in _of_trait(name, trait, brand))


def fits_buttons(trait: Trait, channel: Channel) -> bool:
    """Whether every choice has a button there, whole, in every language in which it is asked."""
    labels = [trait.labels.get(choice, {}).get(locale, "") for choice in trait.choices for locale in trait.question]
    return (
        bool(trait.choices)
        and len(trait.choices) <= channel.buttons_limit
        and max(map(len, labels), default=0) <= channel.button_label_limit
    )


def _of_trait(name: str, trait: Trait, brand: Brand) -> Iterable[Action]:
    placements = tuple(place for place, details in brand.placements.items() if name in details.questions)
    asked_on = dict.fromkeys(channel for place in placements for channel in brand.placements[place].channels)
    tapped = tuple(channel for channel in asked_on if fits_buttons(trait, brand.channels[channel]))
    typed = tuple(channel for channel in asked_on if channel not in tapped and brand.channels[channel].kind in _TALKS)
    locales = [locale for locale in trait.question if all(locale in trait.labels.get(c, {}) for c in trait.choices)]
    for suffix, channels in (("", tapped), ("_in_words", typed)):
        if not channels or not locales:
            continue
        action_id = f"ask_{name}{suffix if tapped else ''}"
        yield Action(
            id=action_id,
            kind=QUESTION,
            stage="consideration",
            goal=next(iter(brand.goals)),
            channels=channels,
            placements=placements,
            value=0.0,
            expected_rate=0.0,
            tags=(QUESTION,),
            purpose=trait.purpose,
            asks=name,
            renderings={locale: _rendering(name, trait, locale, listed=bool(suffix)) for locale in locales},
        )


def _rendering(name: str, trait: Trait, locale: str, *, listed: bool) -> Rendering:
    question = _verbatim(trait.question[locale])
    labels = {choice: _verbatim(trait.labels[choice][locale]) for choice in trait.choices}
    if listed:
        return Rendering(body="\n".join([question, *(f"• {label}" for label in labels.values())]))
    replies = tuple(Reply(text=label, trait=name, value=choice) for choice, label in labels.items())
    return Rendering(body=question, suggested_replies=replies)


def _verbatim(text: str) -> str:
    """What brand.yaml says is no template."""
    return f"{{% raw %}}{text}{{% endraw %}}" if "{" in text else text
