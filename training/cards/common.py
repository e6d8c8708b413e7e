"""What every model's card says: where it comes from, what it was learned on, what the gate said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.schema import FeatureSchema
from training.cards.card import Card, Section, Table
from training.gating import Gate
from training.some_customers import lines_of


def card_of(
    description: Mapping[str, Any], version: str, *, schema: FeatureSchema, gate: Gate, sections: Sequence[Section]
) -> Card:
    """A card whose middle is the model's own.

    Args:
        description: of the version, as in its model.json.
        version: its name.
        schema: what each input means.
        gate: what it was asked before it could be served.
        sections: the model's own: what it says, its windows, how good it is, its limits.
    """
    return Card(
        f"Model card: {description['name']} {version}",
        (_origin(description, version), *sections, features_of(description, schema), _gate(gate)),
    )


def _origin(description: Mapping[str, Any], version: str) -> Section:
    rows = [
        ("version", version),
        ("made as of", str(description["as_of"])),
        ("data", str(description.get("fingerprint", "unknown"))),
        ("feature schema", str(description["schema_version"])),
        ("seed", str(description.get("seed", "unknown"))),
    ]
    sentence = "The same data, seed and code give the same files; nothing known at or after that instant was used."
    return Section("Where it comes from", (sentence, *lines_of(description)), (Table(("", ""), tuple(rows)),))


def features_of(description: Mapping[str, Any], schema: FeatureSchema) -> Section:
    """Every input, with its unit and meaning."""
    rows = []
    for name in description["inputs"]:
        column = schema.column(name)
        rows.append((name, column.view, column.unit, column.meaning))
    return Section(
        "What it is told of a customer",
        (f"{len(rows)} inputs, each as it was known at the instant of the row.",),
        (Table(("input", "from", "unit", "meaning"), tuple(rows)),),
    )


def _gate(gate: Gate) -> Section:
    rows = tuple(("yes" if check.passed else "NO", check.question, check.answer) for check in gate.checks)
    said = "It passed its gate" if gate.passed else "It did not pass its gate"
    beside = f"judged beside the champion {gate.champion}" if gate.champion else "when there was no champion"
    return Section("The gate", (f"{said}, {beside}.",), (Table(("passed", "question", "answer"), rows),))
