"""`docs/features.md`: every feature in a table, written from what the code says of it.

`python -m features.feature_docs` rewrites the tables of the file; a test holds them complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from features.columns import BEHAVIOUR, INSTANTS, MEASURES, TEXTS, WINDOWS_DAYS, Column
from features.schema import RATIOS, age_name

START, END = "<!-- tables: written by python -m features.feature_docs -->", "<!-- end of the tables -->"
PATH = Path(__file__).parents[1] / "docs" / "features.md"


def tables() -> str:
    """The tables, as Markdown."""
    windows = ", ".join(f"`_{days}d`" for days in WINDOWS_DAYS)
    ages = [Column(age_name(column.name), "derived", "days", f"Days since: {column.meaning}") for column in INSTANTS]
    parts = [
        ("Since the first event", "View `behaviour`.", BEHAVIOUR),
        (
            "Over windows",
            f"View `recent`. Each name stands for one feature a window: {windows}. A window is half-open, "
            "`[as_of - days, as_of)`.",
            [Column(measure.name, "recent", measure.unit, measure.meaning) for measure in MEASURES],
        ),
        ("Instants", "Stored as instants, so that their ages are right at any moment.", INSTANTS),
        ("Texts", "For people, rules and messages; models do not see them.", TEXTS),
        ("Derived at the moment of reading", "`features/derive.py`, the same for training and serving.", ages),
        ("Ratios, derived too", "Missing where the denominator is zero.", RATIOS),
        ("Declared traits", "View `declared`; `<name>` is a trait of `brand.yaml`.", _traits()),
    ]
    return "\n\n".join(f"### {title}\n\n{text}\n\n{_table(columns)}" for title, text, columns in parts)


def _traits() -> list[Column]:
    return [
        Column("trait_<name>", "declared", "index", "Of a choice: which one, counted from 0 (categorical for models)"),
        Column("trait_<name>_<choice>", "declared", "0 or 1", "Of choices: whether this one is among them"),
        Column("trait_<name>", "declared", "number", "Of a number or a boolean: itself"),
        Column("trait_<name>", "declared", "days", "Of a date: days since 1970-01-01"),
        Column("trait_<name>_at", "declared", "instant", "When it was declared; missing when withdrawn"),
        Column("trait_<name>_age_days", "derived", "days", "Days since it was declared"),
        Column(
            "trait_<name>_strength", "derived", "share", "What is left of it by its half-life: 0.5^(age ÷ half-life)"
        ),
        Column("trait_<name>_years", "derived", "years", "Of a date: years since"),
        Column("trait_<name>_days_to_anniversary", "derived", "days", "Of a date: days until its anniversary"),
    ]


def _table(columns: Iterable[Column]) -> str:
    rows = "\n".join(f"| `{column.name}` | {column.unit} | {column.view} | {column.meaning} |" for column in columns)
    return f"| feature | unit | view | meaning |\n|---|---|---|---|\n{rows}"


def written(text: str) -> str:
    """The document with its tables as they should be."""
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{tables()}\n\n{END}{after}"


def main() -> None:
    """Rewrites the tables of docs/features.md."""
    PATH.write_text(written(PATH.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
