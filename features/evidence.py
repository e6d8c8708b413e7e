"""What a customer has told us, as evidence: value, question, channel, purpose, notice, when, and what it is worth now.

What counts as a statement, and which purposes stand withdrawn, is read by the same SQL as the features
(`aggregates/stages`); what was said around it comes from the events themselves, free text from its own table.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from features.brand import Brand
from features.contract import IDENTIFY
from features.feature_sql import parameters, sql_of, traits_sql
from features.merges import Merge, merges_of
from features.owners import links_table
from features.persons import events_of
from features.texts import Text, texts_of
from features.workspace import Workspace

TOLD = "_told"  # under this name an identify call's properties hold how its traits came to be told
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Statement:
    """One answer about one trait; a missing value takes back what was said before, or may not be told any more."""

    trait: str
    value: object
    said_at: datetime
    received_at: datetime
    event_id: str
    asked_by: str  # the event: an answered question, or identify
    question: str | None = None
    channel: str | None = None
    purpose: str | None = None
    notice_version: str | None = None
    locale_shown: str | None = None
    conversation_id: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class TraitEvidence:
    """What stands of one trait.

    Attributes:
        name: of the trait.
        statement: the newest that has not fallen with the purpose of its trait or that for which it was asked; where
            all have, or it was taken back, the newest without its value.
        withdrawn_at: when the customer took it back, or withdrew its purpose; None where it stands.
        withdrawn_by: `customer` (an empty answer) or `purpose`; None where it stands.
        age_days: of the statement, at least 0.
        confidence: 0.5 ** (age / half-life); None where it was withdrawn.
        superseded: the other statements, newest first; those that fell with a purpose, or were taken back, without
            their values.
    """

    name: str
    statement: Statement
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    age_days: float
    confidence: float | None
    superseded: tuple[Statement, ...]


def evidence_of(
    workspace: Workspace,
    connection: sqlite3.Connection,
    customer_keys: Sequence[int],
    *,
    brand: Brand,
    at: datetime,
    events: pa.Table | None = None,
) -> list[TraitEvidence]:
    """The evidence for every trait that this person ever said something about, in the order of brand.yaml.

    Args:
        workspace: whose lake and log are read.
        connection: to its database.
        customer_keys: every key of the person.
        brand: its traits, purposes and half-lives.
        at: now.
        events: of the person, where they have been read already.
    """
    if events is None:
        events = events_of(workspace, connection, customer_keys)
    statements = statements_in(events, brand)
    statements += [_of_text(text, brand) for text in texts_of(connection, customer_keys) if text.trait in brand.traits]
    merges = merges_of(connection, customer_keys) if len(customer_keys) > 1 else ()
    withdrawn = withdrawn_purposes(events, brand, merges=merges)
    by_trait: dict[str, list[Statement]] = {}
    for statement in sorted(statements, key=lambda one: (one.said_at, one.received_at, one.event_id)):
        by_trait.setdefault(statement.trait, []).append(statement)
    return [
        _weighed(by_trait[name], brand=brand, withdrawn=withdrawn, at=at) for name in brand.traits if name in by_trait
    ]


def statements_in(events: pa.Table, brand: Brand) -> list[Statement]:
    """Every valid answer among the events of a person, free text left out, oldest first.

    Args:
        events: with the columns of `features.persons.SCHEMA`.
        brand: whose traits and event names count.
    """
    about = {row["event_id"]: row for row in _asked(events, brand)}
    return [
        _of_event(about[row["event_id"]], trait=row["trait"], value=row["value"], brand=brand)
        for row in _staged(events, brand, "statements", order="occurred_at, received_at, event_id")
        if row["trait"] in brand.traits
    ]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A purpose that stands withdrawn as a whole: since when, and when that arrived."""

    purpose: str
    at: datetime
    received_at: datetime


def withdrawn_purposes(events: pa.Table, brand: Brand, *, merges: Iterable[Merge] = ()) -> dict[str, datetime]:
    """The purposes that stand withdrawn as a whole among the events of one person, and since when."""
    by_person = withdrawals_in(events, brand, owner_of=lambda key: 0, merges=merges)
    return {one.purpose: one.at for one in by_person.get(0, ())}


def withdrawals_in(
    events: pa.Table, brand: Brand, *, owner_of: Callable[[int], int], merges: Iterable[Merge] = ()
) -> dict[int, tuple[Withdrawal, ...]]:
    """The purposes that stand withdrawn as a whole, by person; given again, a purpose stands, and is left out.

    Args:
        events: with the columns of `features.persons.SCHEMA`; of them, consents given and withdrawn count.
        brand: whose event names count.
        owner_of: the person of a customer key.
        merges: at least those of these persons: a refusal under one key is lifted under another only by who was
            known to be the same person then.
    """
    newest: dict[tuple[int, int, str], dict[str, Any]] = {}
    for row in _staged(events, brand, "consents", order="occurred_at, received_at, event_id", merges=merges):
        if row["channel"] is None and row["purpose"] is not None:
            newest[owner_of(int(row["customer_key"])), int(row["spoken_for"]), row["purpose"]] = row
    standing: dict[tuple[int, str], Withdrawal] = {}
    for (owner, _, purpose), row in newest.items():
        if not row["is_given"]:
            one = Withdrawal(purpose, _utc(row["occurred_at"]), _utc(row["received_at"]))
            held = standing.get((owner, purpose), one)
            standing[owner, purpose] = Withdrawal(purpose, max(one.at, held.at), max(one.received_at, held.received_at))
    found: dict[int, tuple[Withdrawal, ...]] = {}
    for (owner, _), withdrawal in standing.items():
        found[owner] = (*found.get(owner, ()), withdrawal)
    return found


def _staged(
    events: pa.Table, brand: Brand, stage: str, *, order: str, merges: Iterable[Merge] = ()
) -> list[dict[str, Any]]:
    """The rows of one of the features' stages over these events, as they stand now."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        connection.register("events", events)
        connection.register("links", links_table(merges))
        connection.execute(
            "CREATE TEMP VIEW history AS SELECT *, customer_key AS written_key, 0 AS period, "
            "1 AS visible_from, 2 AS visible_until FROM events"
        )
        connection.execute(f"CREATE TEMP TABLE traits AS {traits_sql(brand)}")
        sql = sql_of(f"stages/{stage}")
        named = {name: value for name, value in parameters(brand).items() if f"${name}" in sql}
        rows: list[dict[str, Any]] = (
            connection.execute(f"SELECT * FROM ({sql}) ORDER BY {order}", named).to_arrow_table().to_pylist()
        )
    return rows


def _asked(events: pa.Table, brand: Brand) -> list[dict[str, Any]]:
    names = {IDENTIFY, brand.events.question_answered}
    columns = ["event_id", "event", "occurred_at", "received_at", "channel", "conversation_id", "step", "properties"]
    return [row for row in events.select(columns).to_pylist() if row["event"] in names]


def _of_event(row: Mapping[str, Any], *, trait: str, value: str | None, brand: Brand) -> Statement:
    said = _json_object(row["properties"])
    told = _json_object(said.get(TOLD)) if row["event"] == IDENTIFY else said
    return Statement(
        trait=trait,
        value=None if value is None else json.loads(value),
        said_at=_utc(row["occurred_at"]),
        received_at=_utc(row["received_at"]),
        event_id=row["event_id"],
        asked_by=row["event"],
        question=_text(told.get("question")),
        channel=row["channel"],
        purpose=_text(told.get("purpose")) or brand.traits[trait].purpose,
        notice_version=_text(told.get("notice_version")),
        locale_shown=_text(told.get("locale_shown")),
        conversation_id=row["conversation_id"],
        step=row["step"],
    )


def _of_text(text: Text, brand: Brand) -> Statement:
    return Statement(
        trait=text.trait,
        value=text.value,
        said_at=_EPOCH + timedelta(microseconds=text.said_at_us),
        received_at=_EPOCH + timedelta(microseconds=text.received_at_us),
        event_id=text.event_id,
        asked_by=brand.events.question_answered if text.question or text.conversation_id else IDENTIFY,
        question=text.question,
        channel=text.channel,
        purpose=text.purpose or brand.traits[text.trait].purpose,
        notice_version=text.notice_version,
        locale_shown=text.locale_shown,
        conversation_id=text.conversation_id,
        step=text.step,
    )


def _weighed(
    statements: Sequence[Statement], *, brand: Brand, withdrawn: Mapping[str, datetime], at: datetime
) -> TraitEvidence:
    """What stands of the statements about one trait, oldest first."""
    trait = brand.traits[statements[-1].trait]
    fallen = [withdrawn.get(trait.purpose) or withdrawn.get(one.purpose or "") for one in statements]
    standing = [place for place, since in enumerate(fallen) if since is None]
    place = standing[-1] if standing else len(statements) - 1
    newest, since = statements[place], fallen[place]
    taken_back = max((n for n in standing if statements[n].value is None), default=-1)
    told = [  # what was withdrawn is not told again
        replace(one, value=None) if n < taken_back or fallen[n] is not None else one for n, one in enumerate(statements)
    ]
    age_days = max((at - newest.said_at) / _DAY, 0.0)
    by = "purpose" if since is not None else "customer" if newest.value is None else None
    return TraitEvidence(
        name=newest.trait,
        statement=told[place],
        withdrawn_at=since if since is not None else newest.said_at if by else None,
        withdrawn_by=by,
        age_days=age_days,
        confidence=None if by else 0.5 ** (age_days / trait.half_life_days),
        superseded=(*told[:place:-1], *told[:place][::-1]),
    )


def _json_object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)
