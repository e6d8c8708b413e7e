"""What must hold of questions and intents: in `brand.yaml` of what a placement may ask, in the catalogue of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from features.brand import Brand
from features.brand_checks import items_at, keys_at, unknown_name
from features.catalogue import Action
from features.faults import Fault
from features.question_actions import QUESTION, question_actions
from features.yaml_file import Location, YamlFile

LONGEST_ASKED = 48  # characters of a trait's name: `ask_…_in_words` is a name too


def placement_question_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of each placement's `questions` and `off_script`, from the plain data of brand.yaml."""
    for name in keys_at(file, ("placements",)):
        for at in items_at(file, ("placements", name, "questions")):
            yield from unknown_name(file, at, known=keys_at(file, ("traits",)), what="The brand's traits")
            trait = file.value_at(at)
            if isinstance(trait, str) and trait in keys_at(file, ("traits",)):
                yield from _unaskable(file, at, trait)
        off_script: Location = ("placements", name, "off_script")
        if file.value_at(off_script) is not None and not file.value_at(("intents",)):
            rule = "It answers what is none of `intents`: list those that your bot can tell, at the top of the file."
            yield file.fault(off_script, "is given, but the brand knows no intents.", rule)
        if file.value_at(off_script) is not None and file.value_at(("placements", name, "initiated_by")) == "brand":
            rule = "Nobody has said anything there that could be off script: it is for what a customer asks."
            yield file.fault(off_script, "is given where the brand speaks first.", rule)


def _unaskable(file: YamlFile, at: Location, trait: str) -> Iterator[Fault]:
    """Why a trait cannot be asked for."""
    asked = keys_at(file, ("traits", trait, "question"))
    everywhere = set(keys_at(file, ("locales",)))
    default = str(file.value_at(("default_locale",)))
    if len(trait) > LONGEST_ASKED:
        rule = f"A trait that is asked for has a name of {LONGEST_ASKED} characters at most: its action is named by it."
        yield file.fault(at, f"names a trait of {len(trait)} characters.", rule)
    if file.value_at(("traits", trait, "type")) == "text":
        rule = "What nobody can foresee changes no ranking: ask for a choice, a number, a date or a yes."
        yield file.fault(at, f"names '{trait}', which is free text.", rule)
    if default not in asked and not everywhere <= set(asked):
        rule = f"It is asked with traits.{trait}.question, in the default locale '{default}' or in every locale."
        yield file.fault(at, f"names '{trait}', which has no question there.", rule)
    choices = file.value_at(("traits", trait, "choices"))
    for choice in choices if isinstance(choices, list) else []:
        labelled = keys_at(file, ("traits", trait, "labels", str(choice)))
        if missing := [locale for locale in asked if locale not in labelled]:
            rule = "Every choice has a label in each locale in which it is asked: it is what the customer taps."
            yield file.fault(at, f"names '{trait}', whose '{choice}' has no label in {', '.join(missing)}.", rule)


def question_action_faults(file: YamlFile, at: Location, action: Action, *, brand: Brand) -> Iterator[Fault]:
    """The faults of one action of the catalogue as a question, or beside the questions that are generated."""
    if action.kind != QUESTION:
        if action.asks is not None:
            yield file.fault((*at, "asks"), "is given.", "Only an action of kind: question asks for a trait.")
        if action.id in {generated.id for generated in question_actions(brand)}:
            rule = "brand.yaml has a question generated under that name: call this one something else."
            yield file.fault((*at, "id"), f"has the value '{action.id}'.", rule)
        return
    if action.asks is None:
        yield file.fault((*at, "asks"), "is missing.", "A question says which trait its answer fills.")
    elif action.asks not in brand.traits:
        yield from unknown_name(file, (*at, "asks"), known=brand.traits, what="The brand's traits")
    if action.incentive is not None:
        yield file.fault((*at, "incentive"), "is given.", "A question gives nothing away: make it kind: offer.")
    for name in _silent(action, brand):
        rule = f"A question is worth asking where placements.{name}.questions of brand.yaml lists its trait."
        yield file.fault((*at, "placements"), f"names '{name}', which does not ask for '{action.asks}'.", rule)


def _silent(action: Action, brand: Brand) -> Iterable[str]:
    return (
        name
        for name in action.placements
        if name in brand.placements
        and action.asks in brand.traits
        and action.asks not in brand.placements[name].questions
    )
