"""The questions of one place beside its offers: each with what asking is worth, or why it is not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from msgspec.structs import replace as with_fields

from features.catalogue import NOTHING, Action
from serving.eligibility import Offerable, Suppressed
from serving.next_question.asking import NOT_ASKING, WORTH_NOTHING, Asking
from serving.next_question.worth import Answered, Worth, worth_of_asking
from serving.offers import Offer
from serving.scoring import ScoredCustomer
from serving.shelf import Place
from serving.values import EstimatedRate, Valuation, on_one_scale

_NO_RATE = EstimatedRate(rate=0.0, n_decided=0.0, n_converted=0, prior=0.0)  # a question is not tried for its goal


class There(Protocol):
    """One place on one channel, for one customer as they are or as they would be after an answer."""

    @property
    def place(self) -> Place:
        """Where."""

    def competing(self, *, is_alone: bool) -> tuple[Sequence[Offer], tuple[Suppressed, ...]]:
        """The place's own actions: what may be offered, and what is kept away."""

    def judged(self, offerable: Offerable, *, is_alone: bool) -> Offer | Suppressed:
        """One action, offered or kept away."""

    def valued(self, action: Action) -> Valuation:
        """What taking an action would be worth, whether or not it may be offered."""

    def silence(self) -> Valuation | None:
        """What saying nothing would be worth, where the brand speaks first."""


def weighed_questions(
    there: There,
    *,
    elsewise: Callable[[ScoredCustomer], There],
    asking: Asking,
    cost: float,
    why_not: Callable[[Action], Suppressed | None],
    is_alone: bool,
) -> Iterator[Offer | Suppressed]:
    """Every question of a place.

    Args:
        there: the place, for the customer as they are.
        elsewise: the same place for the customer as they would be.
        asking: what is thought of each trait; where nothing is, no question is asked.
        cost: of asking once, the channel's price included.
        why_not: what the person was asked or has said, by which a question is kept away.
        is_alone: whether this is the only channel that is asked for.
    """
    if asking is NOT_ASKING:
        return
    channel = "" if is_alone else there.place.channel_name
    worths: dict[str, Worth] = {}
    for offerable in there.place.questions:
        action, trait = offerable.action, offerable.action.asks or ""
        if (kept_away := why_not(action)) is not None:
            yield replace(kept_away, channel=channel)
            continue
        if trait not in asking.about:
            continue  # of a what-if: the place did not ask for it then, so what others had answered is not known
        judged = there.judged(offerable, is_alone=is_alone)
        if isinstance(judged, Suppressed):
            yield judged
            continue
        if (worth := asking.recorded.get(judged.key) or worths.get(trait)) is None:
            worth = worths[trait] = _worth(there, trait, elsewise=elsewise, asking=asking, cost=cost)
        yield _offered(judged, worth, channel=channel)


def _offered(offer: Offer, worth: Worth, *, channel: str) -> Offer | Suppressed:
    if worth.value <= 0.0:
        detail = f"an answer would add {worth.gain:.6g} to each of {worth.decisions:.6g} decisions; "
        detail += f"asking costs {worth.cost:.6g}"
        return Suppressed(offer.action.id, WORTH_NOTHING, detail, channel=channel, counter=worth.as_dict())
    return with_fields(offer, valuation=Valuation(offer.action.id, worth.value, _NO_RATE, worth))


def _worth(
    there: There, trait: str, *, elsewise: Callable[[ScoredCustomer], There], asking: Asking, cost: float
) -> Worth:
    about = asking.about[trait]
    now = [offer.action for offer in there.competing(is_alone=True)[0]]
    answers = [
        _answered(elsewise(scored), likely.probability, now)
        for likely, scored in zip(about.likely, asking.imagined[trait], strict=True)
    ]
    return worth_of_asking(answers, decisions=about.decisions, cost=cost, n_told=about.n_told)


def _answered(then: There, probability: float, now: Sequence[Action]) -> Answered:
    silence = then.silence()
    nothing = {} if silence is None else {NOTHING: silence}
    offered = {offer.action.id: offer.valuation for offer in then.competing(is_alone=True)[0]} | nothing
    unasked = {action.id: then.valued(action) for action in now} | nothing
    every = offered | unasked
    value = {one.action_id: one.value for one in on_one_scale(list(every.values()))}
    return Answered(
        probability, {action: value[action] for action in offered}, {action: value[action] for action in unasked}
    )
