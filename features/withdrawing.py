"""Taking what was said about a few traits out of events, records, answers and snapshots, wherever it stands.

That a question was asked and answered stays, with the evidence for it; what the answer was goes. Each function changes
nothing where nothing is left to take out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.brand import Brand
from features.contract import IDENTIFY
from features.evidence import TOLD
from features.forgetting import KEY, replace_table
from features.lake import quoted
from features.schema import FeatureSchema

WITHDRAWN = "withdrawn"
_IN_SENTENCES = ("propensity", "kept_away")  # of an explanation: they say what the customer said in words of their own
_BY_ACTION = ("distribution",)  # keyed by actions, which may be called like a trait
_SPOKEN = ("message", "formatted")  # what the customer read, in our words and in its provider's
_EVIDENCE = ("question", "purpose", "notice_version", "locale_shown")
_READS_STATEMENTS = re.compile(r"\b(answer|trait|properties)\b", re.IGNORECASE)


def statements_condition(traits: Collection[str], brand: Brand, *, purposes: Collection[str]) -> str:
    """The SQL condition on events that say something about these traits, or said anything for these purposes."""

    def listed(names: Collection[str]) -> str:
        return f"[{', '.join(quoted(name) for name in sorted(names))}]::VARCHAR[]"

    keys = "CASE WHEN json_valid(properties) THEN json_keys(properties) END"
    told, asked = (
        f"CASE WHEN json_valid(properties) THEN json_extract_string(properties, '{path}') END IN (SELECT "
        f"unnest({listed(purposes)}))"
        for path in (f"$.{TOLD}.purpose", "$.purpose")
    )
    return (
        f"((event = {quoted(brand.events.question_answered)} AND answer IS NOT NULL "
        f"AND (list_contains({listed(traits)}, trait) OR {asked})) "
        f"OR (event = {quoted(IDENTIFY)} AND (list_has_any({keys}, {listed(traits)}) "
        f"OR ({told} AND list_has_any({keys}, {listed(brand.traits)})))))"
    )


def traits_in(row: Mapping[str, Any], traits: Collection[str], brand: Brand, *, purposes: Collection[str]) -> set[str]:
    """The traits of which an event says something that falls: these, and all that was asked for these purposes."""
    properties = _object(row.get("properties"))
    if row.get("event") == IDENTIFY:
        told = properties.get(TOLD)
        is_for = isinstance(told, dict) and told.get("purpose") in purposes
        return {name for name in properties if name in traits or (is_for and name in brand.traits)}
    if row.get("event") != brand.events.question_answered or row.get("trait") is None:
        return set()
    falls = row["trait"] in traits or properties.get("purpose") in purposes
    return {row["trait"]} if falls else set()


def without_statements(rows: pa.Table, traits: Collection[str], brand: Brand, *, purposes: Collection[str]) -> pa.Table:
    """Events of which `statements_condition` is true, with nothing left of what it speaks of."""
    read = rows.select(["event", "trait", "answer", "properties"]).to_pylist()
    edited = [_edited(row, traits_in(row, traits, brand, purposes=purposes)) for row in read]
    for name in ("answer", "properties"):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(name), pa.array([row[name] for row in edited], pa.string()))
    return rows


def payload_without(payload: str, traits: Collection[str], brand: Brand, *, purposes: Collection[str]) -> str | None:
    """The payload of a row of the event log with nothing of what falls in it; None where it holds nothing."""
    said = json.loads(payload)
    falling = traits_in(said, traits, brand, purposes=purposes)
    if not falling or (said.get("event") != IDENTIFY and said.get("answer") is None):
        return None
    edited = _edited(said, falling)
    left = {name: value for name, value in edited.items() if value is not None}
    return json.dumps(left, ensure_ascii=False, separators=(",", ":"))


def record_without(text: str, traits: Collection[str], purposes: Collection[str]) -> str:
    """A decision's record, or an answer kept for retries, with the declared inputs and the message gone.

    It says that so many purposes were withdrawn. What was decided, with which probability, stays.
    """
    said = _scrubbed(json.loads(text), set(traits))
    for one in (said, *said.get("decisions", ()), *said.get("slots", ())):
        for spoken in (one, *one.get("slots", ())):
            for name in _SPOKEN:
                if spoken.get(name) is not None:
                    spoken[name] = None
    for one in (said, *said.get("decisions", ())):
        if isinstance(one.get("explanation"), dict):
            one["explanation"] = {name: part for name, part in one["explanation"].items() if name not in _IN_SENTENCES}
    said[WITHDRAWN] = sorted({*said.get(WITHDRAWN, ()), *purposes})
    return json.dumps(said, sort_keys="message" not in said, ensure_ascii=False, separators=(",", ":"))


def scrub_snapshot(
    path: Path, customer_keys: Collection[int], traits: Collection[str], *, brand: Brand, schema: FeatureSchema
) -> int:
    """Takes these traits out of the customers' rows of one snapshot; gives how many rows held any of them.

    Columns of the brand's own SQL that read what was said are emptied too: nobody knows what they would have been.
    """
    stored = set(pq.read_schema(path).names)
    names = [name for name in _columns(traits, brand=brand, schema=schema) if name in stored]
    keys = [int(key) for key in customer_keys]
    theirs = pq.read_table(path, columns=[KEY, *names], partitioning=None, filters=[(KEY, "in", set(keys))])
    if not pc.any(_any_known(theirs, names)).as_py():
        return 0  # and the other columns of everybody are not read
    table = pq.read_table(path, partitioning=None)
    is_theirs = pc.is_in(table[KEY], pa.array(keys, pa.int64()))
    holds = pc.and_(is_theirs, _any_known(table, names))
    n_rows = int(pc.sum(pc.cast(holds, pa.int64())).as_py() or 0)
    if n_rows:
        for name in names:
            place, field = table.schema.get_field_index(name), table.schema.field(name)
            kept = pc.if_else(holds, pa.scalar(None, field.type), table[name])
            table = table.set_column(place, field, kept)
        replace_table(path, _without_declared(table, holds, traits))
    return n_rows


def _columns(traits: Collection[str], *, brand: Brand, schema: FeatureSchema) -> list[str]:
    names = [f"trait_{name}_at" for name in traits]
    for name in traits:
        choices = brand.traits[name].choices if brand.traits[name].type == "choices" else ()
        names += [f"trait_{name}_{choice}" for choice in choices] or [f"trait_{name}"]
    own = [column for view in schema.own if _READS_STATEMENTS.search(view.sql) for column in view.columns]
    return [*names, *own]


def _any_known(table: pa.Table, names: Collection[str]) -> pa.ChunkedArray:
    known = pa.chunked_array([pa.repeat(False, table.num_rows)])
    for name in names:
        known = pc.or_(known, pc.is_valid(table[name]))
    return known


def _without_declared(table: pa.Table, rows: pa.ChunkedArray, traits: Collection[str]) -> pa.Table:
    """The column `declared` as the SQL would have written it: nothing at all of who has told nothing else."""
    columns = (table[name].to_pylist() for name in ("declared", "locale", "time_zone"))
    written = [
        _declared_without(declared, traits, has_other=locale is not None or zone is not None) if holds else declared
        for declared, locale, zone, holds in zip(*columns, rows.to_pylist(), strict=True)
    ]
    place, field = table.schema.get_field_index("declared"), table.schema.field("declared")
    return table.set_column(place, field, pa.array(written, field.type))


def _declared_without(text: str | None, traits: Collection[str], *, has_other: bool) -> str | None:
    left = {name: value for name, value in _object(text).items() if name not in traits}
    if not left and not has_other:
        return None
    return json.dumps(left, ensure_ascii=False, separators=(",", ":"))


def _edited(row: Mapping[str, Any], traits: Collection[str]) -> dict[str, Any]:
    """An event's columns without the answer, or without these traits of an identify call."""
    properties = _object(row.get("properties"))
    if row["event"] == IDENTIFY:
        left = {name: value for name, value in properties.items() if name not in traits}
        is_empty = not set(left) - {TOLD}
        return {**row, "properties": None if is_empty else json.dumps(left, ensure_ascii=False)}
    told = {name: properties[name] for name in _EVIDENCE if name in properties}
    return {**row, "answer": None, "properties": json.dumps(told, ensure_ascii=False) if told else None}


def _scrubbed(value: Any, traits: set[str]) -> Any:
    """Leaves out what is kept under a trait's name, and empties the details that speak of one."""
    if isinstance(value, list):
        return [_scrubbed(one, traits) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {
        name: one if name in _BY_ACTION else _scrubbed(one, traits)
        for name, one in value.items()
        if not _is_about(name, traits)
    }
    if isinstance(kept.get("detail"), str) and _speaks_of(kept["detail"], traits):
        kept["detail"] = WITHDRAWN
    return kept


def _is_about(name: str, traits: set[str]) -> bool:
    return any(
        name in (trait, f"has_{trait}", f"trait_{trait}") or name.startswith(f"trait_{trait}_") for trait in traits
    )


def _speaks_of(text: str, traits: set[str]) -> bool:
    names = "|".join(re.escape(trait) for trait in sorted(traits))
    return re.search(rf"\b(?:has_|trait_)?(?:{names})\b", text) is not None


def _object(text: object) -> dict[str, Any]:
    try:
        said = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
