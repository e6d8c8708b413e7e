"""What must hold of the occasions of `brand.yaml`: a holiday that there is, or dates that there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pydantic import ValidationError

from features.faults import CallersMistake, Fault
from features.occasions import Occasion, begins_of
from features.yaml_file import Location, YamlFile


def occasion_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of every occasion's country, holiday and dates."""
    occasions = file.value_at(("occasions",))
    for name in occasions if isinstance(occasions, dict) else ():
        at: Location = ("occasions", str(name))
        said = file.value_at(at)
        if not isinstance(said, dict):
            continue
        if bool(said.get("country")) != bool(said.get("holiday")) or not (said.get("country") or said.get("dates")):
            rule = "It needs `country` and `holiday` together, or the brand's own `dates`, or all three."
            yield file.fault(at, f"holds {', '.join(said) or 'nothing'}.", rule)
            continue
        yield from _world_faults(file, at, said)


def _world_faults(file: YamlFile, at: Location, said: dict[str, object]) -> Iterator[Fault]:
    dates = said.get("dates")
    wrong = [day for day in dates if not _is_date(day)] if isinstance(dates, list) else []
    if wrong:
        yield file.fault((*at, "dates"), f"holds '{wrong[0]}'.", "A date is a day that there is, as 2026-11-08.")
        return
    try:
        begins_of(
            Occasion.model_validate(said | {"dates": tuple(dates if isinstance(dates, list) else ())}), years=YEARS
        )
    except ValidationError:
        return  # its shape is wrong, which is said already
    except CallersMistake as reason:
        yield file.fault(at, f"names '{said.get('holiday')}' of '{said.get('country')}'.", str(reason))


YEARS = range(2015, 2031)  # a holiday of any of them is one that there is


def _is_date(day: object) -> bool:
    try:
        return isinstance(day, str) and date.fromisoformat(day) is not None
    except ValueError:
        return False
