"""Whether rows as they lie packed in the online store say what lake and log say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from features.aggregation import Sources, aggregate
from features.checks import CheckResult
from features.history import OpenWorkspace
from features.lake import Lake
from features.online import OnlineFeatures
from features.packing import CustomerState, Missing, pack, unpack

TITLE = "row in the online store = row of lake and log"
MOST_INSTANTS = 3  # rows are as of a materialize, or each of its own last event: so many are compared

Held = dict[tuple[int, ...], CustomerState]


def online_as_offline(opened: OpenWorkspace, customers: Sequence[int], *, names: Sequence[str]) -> CheckResult:
    """Compares stored columns of customers with rows computed from lake and log as of the rows' own instants."""
    online = OnlineFeatures.open(opened.workspace, opened.brand)
    try:
        held = _up_to_date(online, customers)
        differing = {
            name for keys, state, row in _beside(online, held) for name in _differing(state, row, names, online)
        }
    finally:
        online.close()
    if not held:
        return CheckResult(TITLE, "WARN", "It holds none of their rows: run 'rapport features materialize'.")
    if differing:
        return CheckResult(
            TITLE,
            "FAIL",
            "Decisions see other values than training would. After an import that is so until you run 'rapport "
            "features materialize'; if it stays, somebody else has written to the online store.",
            ", ".join(sorted(differing)),
        )
    detail = f"{len(held)} customers, {len(names)} features"
    return CheckResult(TITLE, "PASS", "Decisions see the values that training would.", detail)


def _up_to_date(online: OnlineFeatures, customers: Sequence[int]) -> Held:
    """Rows that lack no event of the log, of the commonest instants; the others are recomputed when they are needed."""
    current = online.current_among(online.people_of(customers))
    held = {keys: state for keys, state in current.items() if isinstance(state, CustomerState)}
    common = {at for at, _ in Counter(state.as_of for state in held.values()).most_common(MOST_INSTANTS)}
    return {keys: state for keys, state in held.items() if state.as_of in common}


def _beside(
    online: OnlineFeatures, held: Held
) -> Iterator[tuple[tuple[int, ...], CustomerState, CustomerState | Missing]]:
    for as_of in sorted({state.as_of for state in held.values()}):
        people = {keys[0]: keys for keys, state in held.items() if state.as_of == as_of}
        sources = Sources(
            Lake(online.workspace.lake),
            log=online.log.of_customers([key for keys in people.values() for key in keys]),
            customers=tuple(people),
            merges=tuple(online.identity.merges()),
        )
        table = next(iter(aggregate(sources, [as_of], brand=online.brand, schema=online.schema)))
        cells = dict(zip(table["customer_key"].to_pylist(), pack(table, online.schema, log_seq=0), strict=True))
        for key, keys in people.items():
            row = unpack(cells[key], schema=online.schema) if key in cells else Missing("unknown_customer")
            yield keys, held[keys], row


def _differing(
    state: CustomerState, row: CustomerState | Missing, names: Sequence[str], online: OnlineFeatures
) -> Iterator[str]:
    if isinstance(row, Missing):
        yield "the whole row"
        return
    ours, theirs = _values(state, online), _values(row, online)
    for name in names:
        one, other = ours.get(name), theirs.get(name)
        both_missing = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
        if one != other and not both_missing:
            yield name


def _values(state: CustomerState, online: OnlineFeatures) -> dict[str, object]:
    values: dict[str, object] = dict(zip(online.schema.numeric, state.vector.tolist(), strict=True))
    values |= dict(zip(online.schema.instants, state.instants.tolist(), strict=True))
    values |= state.categories
    said = {"declared": state.declared, "consents": state.consents, "locale": state.locale}
    return values | said | {"time_zone": state.time_zone}
