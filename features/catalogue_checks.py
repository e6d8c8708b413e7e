"""What must hold of `catalogue.yaml` beside its brand: names that refer to names, and what can always be said.

Rules on names read the plain data, so that one misshapen action does not hide the faults of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from features.action_checks import expression_faults, text_faults
from features.brand import Brand, Placement
from features.brand_checks import in_order, items_at, keys_at, unknown_name
from features.catalogue import NOTHING, Action, Catalogue, Incentive
from features.contact_checks import contact_filter_faults, purpose_faults
from features.faults import Fault, closest_name
from features.message_checks import message_faults
from features.question_actions import with_questions
from features.question_checks import question_action_faults
from features.tried import Trials
from features.validation import validate
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from features.yaml_file import Location, YamlFile, read_yaml


def read_catalogue(workspace: Workspace, brand: Brand) -> tuple[Catalogue | None, list[Fault]]:
    """The catalogue of a workspace, or None, and every fault, in the order of the file's lines."""
    return check_catalogue(read_yaml(workspace.catalogue_file), workspace, brand)


def check_catalogue(file: YamlFile, workspace: Workspace, brand: Brand) -> tuple[Catalogue | None, list[Fault]]:
    """As `read_catalogue`, of what was read already: from catalogue.yaml, or from a workbook."""
    catalogue, faults = validate(file, Catalogue)
    whole = dict(_sound_actions(file))
    faults += _name_faults(file, brand)
    variables = variables_of(brand, feature_variables(brand, workspace))
    trials = Trials(brand, variables)
    for at, action in whole.items():
        faults += _action_faults(file, at, action)
        faults += question_action_faults(file, at, action, brand=brand)
        faults += message_faults(file, at, action, brand=brand)
        expressions = expression_faults(file, at, action, brand=brand, variables=variables)
        texts = text_faults(file, at, action, brand=brand, variables=variables)
        faults += trials.faults(action, chain(expressions, texts))
    brand_file = read_yaml(workspace.brand_file)
    faults += _placement_faults(file, brand_file, brand, actions={action.id: action for action in whole.values()})
    if catalogue is not None:
        faults += contact_filter_faults(brand_file, brand, with_questions(catalogue, brand).actions)
    return catalogue, in_order([*file.faults, *faults])


def read_catalogue_alone(workspace: Workspace) -> tuple[Catalogue | None, list[Fault]]:
    """The catalogue by its shape only, where there is no sound brand to compare it with."""
    file = read_yaml(workspace.catalogue_file)
    catalogue, faults = validate(file, Catalogue)
    return catalogue, in_order([*file.faults, *faults])


def _sound_actions(file: YamlFile) -> Iterator[tuple[Location, Action]]:
    """The actions whose shape is right, also where the file as a whole is not."""
    for at in items_at(file, ("actions",)):
        action, _ = validate(file, Action, at=at)
        if action is not None:
            yield at, action


def _name_faults(file: YamlFile, brand: Brand) -> Iterator[Fault]:
    first: dict[object, int | None] = {}
    for at in items_at(file, ("actions",)):
        name = file.value_at((*at, "id"))
        if isinstance(name, str) and name in first:
            rule = f"An id stands once; it is first on line {first[name]}."
            yield file.fault((*at, "id"), f"has the value '{name}' again.", rule)
        elif isinstance(name, str):
            first[name] = file.line((*at, "id"))
        if name == NOTHING:
            yield file.fault((*at, "id"), f"has the value '{NOTHING}'.", "That is the action of sending nothing.")
        yield from unknown_name(file, (*at, "goal"), known=brand.goals, what="The brand's goals")
        yield from purpose_faults(file, at, brand)
        for place in items_at(file, (*at, "channels")):
            yield from unknown_name(file, place, known=brand.channels, what="The brand's channels")
        for place in items_at(file, (*at, "placements")):
            yield from unknown_name(file, place, known=brand.placements, what="The brand's placements")
            yield from _unreachable(file, at, place, brand)
        yield from _locale_faults(file, at, brand)


def _unreachable(file: YamlFile, at: Location, place: Location, brand: Brand) -> Iterator[Fault]:
    placement = brand.placements.get(str(file.value_at(place)))
    channels = file.value_at((*at, "channels"))
    if placement is not None and isinstance(channels, list) and not set(placement.channels) & set(map(str, channels)):
        rule = f"It needs one of that placement's channels: {', '.join(placement.channels)}."
        yield file.fault(place, f"names '{file.value_at(place)}', which no channel of this action serves.", rule)


def _locale_faults(file: YamlFile, at: Location, brand: Brand) -> Iterator[Fault]:
    rule = f"The brand's locales are: {', '.join(brand.locales)}."
    renderings = keys_at(file, (*at, "renderings"))
    for part in ("renderings", "templates"):
        for name in keys_at(file, (*at, part)):
            if name not in brand.locales:
                closest = closest_name(name, brand.locales)
                yield file.fault((*at, part, name), "is not one of the brand's locales.", rule, closest)
    for name in keys_at(file, (*at, "templates")):
        if name in brand.locales and name not in renderings:
            wanted = "A template needs a rendering in the same locale: what the customer reads, in words."
            yield file.fault((*at, "templates", name), "has no rendering.", wanted)


def _action_faults(file: YamlFile, at: Location, action: Action) -> Iterator[Fault]:
    if action.kind == "offer" and action.incentive is None:
        yield file.fault((*at, "incentive"), "is missing.", "An offer says what it gives away; a message has none.")
    if action.kind == "message" and action.incentive is not None:
        yield file.fault((*at, "incentive"), "is given.", "A message has no incentive: make it kind: offer.")
    if action.incentive is not None:
        yield from _incentive_faults(file, (*at, "incentive", "value"), action.incentive)
    for part in ("tags", "channels", "placements"):
        names = getattr(action, part)
        for index, name in enumerate(names):
            if name in names[:index]:
                yield file.fault((*at, part, index), f"has the value '{name}' again.", "Each stands there once.")
    if action.valid_from and action.valid_until and action.valid_from >= action.valid_until:
        problem = f"has the value '{action.valid_until.isoformat()}'."
        yield file.fault(
            (*at, "valid_until"), problem, f"It is later than valid_from, {action.valid_from.isoformat()}."
        )


def _incentive_faults(file: YamlFile, at: Location, incentive: Incentive) -> Iterator[Fault]:
    if incentive.value < 0:
        yield file.fault(at, f"has the value '{incentive.value:g}'.", "What is given away is 0 or more.")
    elif incentive.kind == "percentage" and incentive.value > 100:
        rule = "A percentage is 100 at most; an amount of money is kind: amount."
        yield file.fault(at, f"has the value '{incentive.value:g}'.", rule)


def _placement_faults(
    file: YamlFile, brand_file: YamlFile, brand: Brand, *, actions: dict[str, Action]
) -> Iterator[Fault]:
    ids = [str(file.value_at((*at, "id"))) for at in items_at(file, ("actions",))]
    places = dict(zip(ids, items_at(file, ("actions",)), strict=True))
    for name, placement in brand.placements.items():
        roles = (
            ("baseline", placement.baseline),
            ("fallback", placement.fallback),
            ("off_script", placement.off_script),
        )
        for role, action_id in roles:
            if action_id is None:
                continue
            if action_id not in ids:
                line = brand_file.line(("placements", name, role))
                where = f"brand.yaml, line {line}: placements.{name}.{role}"
                rule = "It is the id of an action of the catalogue."
                yield Fault(
                    where, f"names '{action_id}', which does not exist.", rule, None, closest_name(action_id, ids)
                )
            elif action_id in actions:
                because = f"It is the {role} of placement '{name}', which can always be rendered."
                for part, problem in _hindrances(actions[action_id], name, placement, brand):
                    yield file.fault((*places[action_id], *part), problem, because)


def _hindrances(action: Action, name: str, placement: Placement, brand: Brand) -> Iterator[tuple[Location, str]]:
    """What could keep a baseline or fallback from being said: the key, and the problem with it."""
    for part in ("when", "incentive", "valid_from", "valid_until"):
        if getattr(action, part) is not None:
            yield (part,), "is given, but may not be."
    for slot, said in action.slots.items():
        if said.default is None:
            yield ("slots", slot), "has no default."
    if name not in action.placements:
        yield ("placements",), f"lacks '{name}'."
    for channel in placement.channels:
        if channel not in action.channels:
            yield ("channels",), f"lacks '{channel}'."
    if not _covers(set(action.renderings), brand):
        yield ("renderings",), f"has neither the default locale '{brand.default_locale}' nor every locale."
    windowed = [channel for channel in placement.channels if brand.channels[channel].session_window_hours]
    if placement.initiated_by == "brand" and windowed and not _covers(set(action.templates), brand):
        problem = (
            f"has neither '{brand.default_locale}' nor every locale, for {windowed[0]} outside its session window."
        )
        yield ("templates",), problem


def _covers(locales: set[str], brand: Brand) -> bool:
    return brand.default_locale in locales or locales >= set(brand.locales)
