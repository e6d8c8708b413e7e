"""A mapping file read whole: every fault at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

from features.brand import Brand
from features.contract import IDENTIFY
from features.event_names import known_event_names
from features.faults import Fault, InvalidFile, closest_name
from features.importing.mapping import Mapping, Record, TimeSpec, ValueSpec
from features.importing.safe_sql import expression_problems, query_problems
from features.validation import validate
from features.yaml_file import Location, YamlFile, read_yaml

_EXPRESSION = "An expression is SQL over one row's columns; it reads no file, no clock and nothing random."
_QUERY = "A query is one SELECT over 'file' and the mapping's tables; it reads nothing else."


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping, with the file that it was read from, so that later faults can say where they stand."""

    mapping: Mapping
    file: YamlFile

    @property
    def path(self) -> Path:
        """Where the mapping was read from."""
        return self.file.path

    def invalid(self, faults: list[Fault]) -> InvalidFile:
        """The error that carries those faults."""
        return InvalidFile(self.path, faults)


def load_mapping(path: Path, brand: Brand) -> MappingFile:
    """The mapping at that path, checked against the brand (traits, currency); columns are checked when files are read.

    Raises:
        InvalidFile: every fault of the file.
        CallersMistake: the file cannot be read.
    """
    file = read_yaml(path, remedy=f"'rapport mapping suggest FILE --out {path}' drafts one from a file to be imported.")
    mapping, faults = validate(file, Mapping)
    faults = [*file.faults, *faults]
    if mapping is not None:
        faults += _Check(mapping, file, brand).faults()
    if mapping is None or faults:
        raise InvalidFile(path, faults)
    return MappingFile(mapping, file)


@dataclass(frozen=True, slots=True)
class _Check:
    mapping: Mapping
    file: YamlFile
    brand: Brand

    def faults(self) -> list[Fault]:
        return [*self._values(), *self._sql(), *self._records(), *self._currency()]

    def _values(self) -> Iterator[Fault]:
        for location, value in values_of(self.mapping):
            given = [name for name in ("column", "value", "sql", "cel") if getattr(value, name) is not None]
            if len(given) != 1:
                rule = "Say exactly one of column, value, sql and cel; a bare text is a column."
                yield self.file.fault(location, f"says {' and '.join(given) or 'none of them'}.", rule)
            if value.sql is not None:
                for problem in expression_problems(value.sql):
                    yield self.file.fault((*location, "sql"), problem, _EXPRESSION)
            if isinstance(value, TimeSpec):
                yield from self._time(location, value)

    def _time(self, location: Location, time: TimeSpec) -> Iterator[Fault]:
        if time.zone is not None and time.zone not in available_timezones():
            rule = "A zone is an IANA name, like Asia/Kolkata or UTC."
            close = closest_name(time.zone, available_timezones())
            yield self.file.fault((*location, "zone"), f"has the value '{time.zone}'.", rule, close)
        try:
            is_aware = datetime.fromisoformat(time.epoch).tzinfo is not None
        except ValueError:
            is_aware = False
        if not is_aware:
            rule = "An epoch is an ISO instant with its zone, like 2018-08-01T00:00:00Z."
            yield self.file.fault((*location, "epoch"), f"has the value '{time.epoch}'.", rule)

    def _sql(self) -> Iterator[Fault]:
        wheres: list[tuple[Location, str | None]] = [(("where",), self.mapping.where)]
        wheres += [(("events", n, "where"), record.where) for n, record in enumerate(self.mapping.events)]
        for location, where in wheres:
            for problem in expression_problems(where) if where is not None else ():
                yield self.file.fault(location, problem, _EXPRESSION)
        tables = frozenset({"file", *self.mapping.tables})
        for problem in query_problems(self.mapping.query, tables=tables) if self.mapping.query is not None else ():
            yield self.file.fault(("query",), problem, _QUERY)

    def _records(self) -> Iterator[Fault]:
        for n, record in enumerate(self.mapping.events):
            at: Location = ("events", n)
            if record.customer is None and self.mapping.customer is None and self.mapping.anonymous is None:
                yield self.file.fault(at, "has no customer.", "Say 'customer' here or for the whole mapping.")
            if record.time is None and self.mapping.time is None:
                yield self.file.fault(at, "has no time.", "Say 'time' here or for the whole mapping.")
            yield from self._combinations(at, record)
            yield from self._traits(at, record)

    def _combinations(self, at: Location, record: Record) -> Iterator[Fault]:
        if record.is_identify and not record.traits and not record.properties:
            yield self.file.fault(at, "identifies nobody by nothing.", "An identify has traits or properties.")
        if not record.is_identify and record.traits:
            yield self.file.fault((*at, "traits"), "stand on another event.", "Only 'event: identify' has traits.")
        if record.group_by and record.is_identify:
            yield self.file.fault((*at, "group_by"), "groups an identify.", "Only lines of one event are grouped.")
        if record.product is not None and record.products is not None:
            yield self.file.fault(at, "says both product and products.", "One column a product, or one list of them.")
        if record.group_by and record.products is not None:
            yield self.file.fault((*at, "products"), "is given to grouped lines.", "A line has a 'product'.")

    def _traits(self, at: Location, record: Record) -> Iterator[Fault]:
        for name in record.traits:
            location = (*at, "traits", name)
            trait = self.brand.traits.get(name)
            if trait is None:
                rule = "A trait that customers declare stands under 'traits' in brand.yaml; add it there first."
                close = closest_name(name, self.brand.traits)
                yield self.file.fault(location, f"'{name}' is none of the brand's traits.", rule, close)
            elif trait.type == "text":
                rule = "Free text never goes into the lake; leave it out."
                yield self.file.fault(location, f"'{name}' is free text.", rule)

    def _currency(self) -> Iterator[Fault]:
        given = self.mapping.currency
        if given is not None and given.value is not None and given.value != self.brand.currency:
            rule = f"Orders are in the brand's currency, {self.brand.currency}: convert them, or correct brand.yaml."
            yield self.file.fault(("currency",), f"has the value '{given.value}'.", rule)


def doubtful_events(mapped: MappingFile, brand: Brand) -> list[str]:
    """A warning for each event name of the mapping that nobody knows, but that is close to one that is known."""
    known = known_event_names(brand)
    warnings = []
    for n, record in enumerate(mapped.mapping.events):
        said = [record.event.value, record.event.otherwise, *(record.event.map or {}).values()]
        for name in dict.fromkeys(str(one) for one in said if one is not None):
            close = closest_name(name, known)
            if name != IDENTIFY and name not in known and close is not None:
                rule = "It is imported as it is; what the brand counts is under 'events' and 'goals' in brand.yaml."
                fault = mapped.file.fault(("events", n, "event"), f"'{name}' is no event that is known.", rule, close)
                warnings.append(str(fault))
    return warnings


def values_of(mapping: Mapping) -> Iterator[tuple[Location, ValueSpec]]:
    """Every value that the mapping takes from a row, with where it stands."""
    yield from _values_in(
        (), {name: getattr(mapping, name) for name in ("customer", "anonymous", "time", "received_at", "currency")}
    )
    for n, record in enumerate(mapping.events):
        yield from _values_in(("events", n), {name: getattr(record, name) for name in Record.model_fields})


def _values_in(at: Location, fields: dict[str, object]) -> Iterator[tuple[Location, ValueSpec]]:
    for name, field in fields.items():
        if isinstance(field, ValueSpec):
            yield (*at, name), field
        elif isinstance(field, dict):
            yield from _values_in((*at, name), field)
        elif name == "product" and field is not None:
            yield from _values_in((*at, name), dict(field))  # type: ignore[call-overload]
