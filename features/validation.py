"""A YAML file against a pydantic model: every fault with its line, value, rule and closest valid name."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from features.faults import Fault, closest_name
from features.yaml_file import Location, YamlFile

Model = TypeVar("Model", bound=BaseModel)

_PATTERN_RULES = {
    "^[a-z][a-z0-9_]{0,63}$": "A name is a lower-case letter, then letters, digits and _ (64 at most).",
    "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$": "A locale is written like en, hi-IN or hi-Latn.",
    "^[A-Z]{3}$": "A currency is an ISO 4217 code of three capitals, like INR or THB.",
}
_WORDS = {"list": "list", "dict": "mapping", "str": "text", "bool": "true or false", "NoneType": "nothing"}


def validate(file: YamlFile, model: type[Model], *, at: Location = ()) -> tuple[Model | None, list[Fault]]:
    """The value at that location as the model, strictly; or None and every fault of it."""
    try:
        text = json.dumps(file.value_at(at), ensure_ascii=False)
        return model.model_validate_json(text), []
    except ValidationError as error:
        told = [details for details in error.errors(include_url=False) if not _only_follows(file, at, details)]
        return None, [_fault(file, model, at=at, error=details) for details in told]


def shown(value: object) -> str:
    """A value as a fault quotes it: short, on one line."""
    if isinstance(value, dict | list):
        return f"a {_WORDS[type(value).__name__]}"
    if value is None:
        return "nothing"
    text = str(value).replace("\n", " ").lower() if isinstance(value, bool) else str(value).replace("\n", " ")
    return f"'{text if len(text) <= 60 else text[:57] + '...'}'"


def _fault(file: YamlFile, model: type[BaseModel], *, at: Location, error: ErrorDetails) -> Fault:
    inside = _in_file(file, at, error["loc"])
    location = (*at, *inside)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys_of(model, inside[:-1])
        rule = f"It may hold: {', '.join(sorted(known))}."
        return file.fault(location, "is a key that nothing reads.", rule, closest_name(str(inside[-1]), known))
    if kind == "missing":
        return file.fault(location, "is missing.", "It is required.")
    value = inside[-1] if error["loc"][-1:] == ("[key]",) else error["input"]
    problem = f"has the value {shown(value)}."
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return file.fault(location, problem, f"It is one of: {', '.join(choices)}.", closest_name(str(value), choices))
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        return file.fault(location, problem, _PATTERN_RULES.get(pattern, f"It must match {pattern}."))
    return file.fault(location, problem, f"{error['msg']}.")


def _only_follows(file: YamlFile, at: Location, error: ErrorDetails) -> bool:
    """Whether a list is only called too short because its items are wrong."""
    if error["type"] != "too_short":
        return False
    value = file.value_at((*at, *_in_file(file, at, error["loc"])))
    return isinstance(value, dict | list) and len(value) >= error.get("ctx", {}).get("min_length", 1)


def _in_file(file: YamlFile, at: Location, reported: Iterable[str | int]) -> Location:
    """Pydantic's location without what is not in the file: marks of keys, and names of a union's members."""
    inside: Location = ()
    parts = list(reported)
    for number, part in enumerate(parts):
        here = file.value_at((*at, *inside))
        if part == "[key]" or (number < len(parts) - 1 and not isinstance(here, dict | list)):
            continue
        inside = (*inside, part)
    return inside


def keys_of(model: object, location: Location) -> set[str]:
    """The keys that the model allows at that location inside it."""
    here: object = model
    for part in location:
        here = _inner(here, part)
    here = _unwrapped(here)
    return set(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else set()


def _inner(annotation: object, part: str | int) -> object:
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known: Any = annotation.model_fields.get(str(part))
        return known.annotation if known is not None else None
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) in (tuple, list) else None


def _unwrapped(annotation: object) -> object:
    """The annotation without Annotated and without the None of an option."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [_unwrapped(each) for each in get_args(annotation) if each is not types.NoneType]
        return inner[0]
    return annotation
