"""A receipt of an erasure, as a person reads it on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def told_receipt(receipt: Mapping[str, Any]) -> str:
    """The receipt in lines: what was removed, what is left as counts, which models had seen the person."""
    return "\n".join(_lines(receipt))


def _lines(receipt: Mapping[str, Any]) -> Iterator[str]:
    if receipt["finished_at"] is None:
        yield f"Erasure {receipt['erasure_id']} is under way since {receipt['asked_at']}."
        yield "Files still hold the person: ask for the same again, or let the next 'rapport run' finish it."
    else:
        yield f"Erasure {receipt['erasure_id']}, finished {receipt['finished_at']}."
    yield "Removed:"
    removed = {name: n for name, n in receipt["removed"].items() if n}
    for name, n_rows in removed.items():
        yield f"  {name.replace('_', ' ')}: {n_rows:,}"
    if not removed:
        yield "  nothing: there was only the id"
    if receipt["remains_as_counts"] is not None:
        yield "Remains, as counts over everybody who was ever erased:"
        for arm, counts in receipt["remains_as_counts"]["erased_customers_by_arm"].items():
            yield f"  arm {arm}: {counts['n_customers']:,} customers, {counts['n_decisions']:,} decisions"
        yield f"  fingerprints of decisions: {receipt['remains_as_counts']['fingerprints_of_decisions']:,}"
    if receipt["models_trained_with"] is not None:
        models = receipt["models_trained_with"]
        yield "Models trained while the person was known:" + ("" if models else " none.")
        for one in models:
            served = ", served now" if one["is_served"] else ""
            yield f"  {one['model']} {one['version']}{served}"
    yield "Not reached from here:"
    for one in receipt["not_reached"]:
        yield f"  {one}"
