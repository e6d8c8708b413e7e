"""What must hold of the contact policy in `brand.yaml`, and of caps, budgets and purposes in `catalogue.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from features.faults import Fault, closest_name
from features.yaml_file import Location, YamlFile

if TYPE_CHECKING:
    from features.brand import Brand
    from features.catalogue import Action

_POLICY: Location = ("contact_policy",)
_FILTERED = ("frequency_caps", "budgets")
_WEEK = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))


def contact_policy_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults that brand.yaml shows by itself: channels that it does not have, and hours that never end."""
    from features.brand_checks import items_at, keys_at, unknown_name  # which calls this module

    channels = keys_at(file, ("channels",))
    filtered = [(*_POLICY, part, name) for part in _FILTERED for name in keys_at(file, (*_POLICY, part))]
    quiet = items_at(file, (*_POLICY, "quiet_hours"))
    for at in [*quiet, *filtered]:
        for place in items_at(file, (*at, "channels")):
            yield from unknown_name(file, place, known=channels, what="The brand's channels")
    for at in quiet:
        rule = file.value_at(at)
        if not isinstance(rule, dict) or rule.get("start") is None or rule.get("start") != rule.get("until"):
            continue
        days = rule.get("days")
        if not isinstance(days, list) or not days or set(map(str, days)) >= _WEEK:
            wanted = "From a time until the same is a whole day: name the `days` on which it is quiet, not all of them."
            yield file.fault(at, f"is quiet from '{rule['start']}' until '{rule['until']}' every day: always.", wanted)


def contact_filter_faults(brand_file: YamlFile, brand: Brand, actions: Iterable[Action]) -> Iterator[Fault]:
    """The faults of caps and budgets of brand.yaml that are about tags or actions which no catalogue has."""
    actions = list(actions)
    known = {
        "tags": sorted({tag for action in actions for tag in action.tags}),
        "actions": [action.id for action in actions],
    }
    policy = brand.contact_policy
    for part, rules in (("frequency_caps", policy.frequency_caps), ("budgets", policy.budgets)):
        for name, rule in rules.items():
            for what, names in (("tags", rule.tags), ("actions", rule.actions)):
                for index, wanted in enumerate(names):
                    if wanted in known[what]:
                        continue
                    where = (*_POLICY, part, name, what, index)
                    place = f"brand.yaml, line {brand_file.line(where)}: contact_policy.{part}.{name}.{what}"
                    rest = f"The catalogue's {what} are: {', '.join(known[what]) or 'none'}."
                    closest = closest_name(wanted, known[what])
                    yield Fault(place, f"names '{wanted}', which does not exist.", rest, None, closest)


def purpose_faults(file: YamlFile, at: Location, brand: Brand) -> Iterator[Fault]:
    """The fault of an action for a purpose that no customer could consent to."""
    from features.brand_checks import unknown_name

    yield from unknown_name(file, (*at, "purpose"), known=brand.purposes, what="The brand's purposes")
