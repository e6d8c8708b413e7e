"""A request checked against the brand: every name that it does not have, with the closest that it has."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from features.brand import Brand
from features.faults import closest_name
from serving.formats import why_not_format
from serving.refusals import RequestRefused, WrongField, shown, unknown_name
from serving.schemas import DecisionRequest, PlaceAsked
from serving.told import locale_faults, trait_faults

MOST_NAMED = 8
"""Actions that are listed where none has a name like the one that was asked for: a catalogue may have hundreds."""


def refuse_wrong_decision(request: DecisionRequest, brand: Brand, *, actions: Collection[str]) -> None:
    """Raises RequestRefused with everything in a request that this brand does not have.

    Args:
        request: as it was asked.
        brand: whose placements, channels and traits hold.
        actions: every action of its catalogue, by id.
    """
    faults = trait_faults(request.context.traits, brand) if request.context.traits else []
    if (request.customer_id is None) == (request.anonymous_id is None):
        rule = (
            "name the customer, or the device where nobody has signed in: exactly one of customer_id and anonymous_id."
        )
        faults.append(WrongField("/customer_id", rule))
    faults += _place_faults(request, brand) or _format_faults(request, brand)
    faults += _action_faults(request, actions) + locale_faults(request.locale, brand)
    if (currency := request.context.currency) is not None and currency != brand.currency:
        rule = f"is {shown(currency)!r}, but the brand's prices are in {brand.currency}: send that, or leave it out."
        faults.append(WrongField("/context/currency", rule))
    if request.dry_run and request.defer:
        faults.append(WrongField("/defer", "has no meaning in a dry run, which reserves nothing: leave one out."))
    if faults:
        raise RequestRefused(faults)


def _format_faults(request: DecisionRequest, brand: Brand) -> list[WrongField]:
    """What is wrong with the provider's format that is asked for, on any of the channels."""
    channels = [channel for place in request.asked for channel in place.channels]
    wrong = why_not_format(request.format, channels=channels, brand=brand) if request.format else None
    return [WrongField("/format", wrong)] if wrong else []


def _action_faults(request: DecisionRequest, actions: Collection[str]) -> list[WrongField]:
    """Names of actions that the catalogue does not have."""
    named = {"candidate_actions": request.candidate_actions, "excluded_actions": request.excluded_actions}
    return [
        WrongField(f"/{field}/{position}", f"there is no action '{shown(name)}'.{_closest(name, actions)}")
        for field, names in named.items()
        for position, name in enumerate(names or ())
        if name not in actions
    ]


def _closest(name: str, actions: Collection[str]) -> str:
    closest = closest_name(name, actions)
    if closest:
        return f" Closest: '{closest}'."
    few = sorted(actions)[:MOST_NAMED]
    there_are = ", ".join(few) + (f" and {len(actions) - len(few)} more" if len(actions) > len(few) else "")
    return f" None is called anything like it. There are: {there_are}."


def _place_faults(request: DecisionRequest, brand: Brand) -> list[WrongField]:
    """What is wrong with where the decision is asked for."""
    if request.placements is None:
        return _faults_of_place(request, brand, prefix="")
    faults = [
        WrongField(f"/{name}", "belongs into each of `placements`, or leave `placements` out.")
        for name in ("placement", "channel", "channels", "limit")
        if name in request.model_fields_set and getattr(request, name) is not None
    ]
    for position, place in enumerate(request.placements):
        faults += _faults_of_place(place, brand, prefix=f"/placements/{position}")
    return faults or _repeated(request.placements)


def _repeated(places: Sequence[PlaceAsked]) -> list[WrongField]:
    """Places that are asked for twice on one channel: what a customer sees there would count as one message."""
    faults, seen = [], set[tuple[str, str]]()
    for position, place in enumerate(places):
        asked = place.asked
        here = {(asked.placement, channel) for channel in asked.channels}
        if again := sorted(channel for _, channel in here & seen):
            rule = (
                f"asks for '{asked.placement}' on {', '.join(again)} a second time. Name a placement once a channel; "
                "its `limit` takes more than one action."
            )
            faults.append(WrongField(f"/placements/{position}", rule))
        seen |= here
    return faults


def _faults_of_place(place: DecisionRequest | PlaceAsked, brand: Brand, *, prefix: str) -> list[WrongField]:
    if place.placement is None:
        return [WrongField(f"{prefix}/placement", f"is missing. There are: {', '.join(sorted(brand.placements))}.")]
    placement = brand.placements.get(place.placement)
    if placement is None:
        names = list(brand.placements)
        return [unknown_name(f"{prefix}/placement", place.placement, kind="placement", names=names)]
    if (place.channel is None) == (place.channels is None):
        rule = f"name one `channel`, or several `channels`, of: {', '.join(sorted(placement.channels))}."
        return [WrongField(f"{prefix}/channel", rule)]
    kind = f"channel of placement '{place.placement}' called"
    if place.channel is not None:
        named = [(f"{prefix}/channel", place.channel)]
    else:
        named = [(f"{prefix}/channels/{position}", name) for position, name in enumerate(place.channels or ())]
    faults = [
        unknown_name(pointer, name, kind=kind, names=placement.channels)
        for pointer, name in named
        if name not in placement.channels
    ]
    if len({name for _, name in named}) < len(named):
        faults.append(WrongField(f"{prefix}/channels", "names a channel twice: name each of them once."))
    return faults
