"""How a catalogue lies in a workbook: which sheet and row or column holds which key of catalogue.yaml.

| sheet   | a row is                                    | its columns                               |
|---------|---------------------------------------------|-------------------------------------------|
| Actions | an action                                   | everything that is the same in any locale |
| Texts   | one part of an action: hook, body, reply 1  | action, part, then one a locale           |
| Slots   | a value that texts take                     | action, slot, expression, default         |
| Caps    | a cap of one action                         | action, and the keys of a cap             |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

ACTIONS, TEXTS, SLOTS, CAPS = "Actions", "Texts", "Slots", "Caps"
ABOUT, FAULTS = "About", "Faults"  # written for people, never read

ACTION, PART, SLOT = "action", "part", "slot"


class Kind(Enum):
    """What a cell holds."""

    TEXT = "text"
    NUMBER = "a number"
    NAMES = "names, joined by commas"
    INSTANT = "an instant"
    PLAIN = "text, a number, or true or false"


Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, with the key that it holds inside its row's part of the catalogue."""

    header: str
    path: Path
    kind: Kind
    note: str = ""


ACTION_COLUMNS = (
    Column("id", ("id",), Kind.TEXT, "A lower-case name; decisions and outcomes are counted under it."),
    Column("kind", ("kind",), Kind.TEXT, "message, offer or question. An offer has an incentive, a message has none."),
    Column("stage", ("stage",), Kind.TEXT, "awareness, consideration, conversion or loyalty."),
    Column("goal", ("goal",), Kind.TEXT, "One of the brand's goals."),
    Column("channels", ("channels",), Kind.NAMES, "Of the brand's channels, joined by commas."),
    Column("placements", ("placements",), Kind.NAMES, "Of the brand's placements, joined by commas."),
    Column("valid from", ("valid_from",), Kind.INSTANT, "A day, or an instant such as 2026-11-01T09:00:00+05:30."),
    Column("valid until", ("valid_until",), Kind.INSTANT, "From this instant on it is not said any more."),
    Column("when", ("when",), Kind.TEXT, "A CEL expression: to whom it may be said."),
    Column("value", ("value",), Kind.NUMBER, "What reaching the goal once is worth, in the brand's currency."),
    Column("expected rate", ("expected_rate",), Kind.NUMBER, "How often you expect it to; 0.05 is five in a hundred."),
    Column("incentive kind", ("incentive", "kind"), Kind.TEXT, "percentage, amount, free_item, sweepstake or points."),
    Column("incentive value", ("incentive", "value"), Kind.NUMBER, "How much is given away."),
    Column("incentive cost", ("incentive", "cost"), Kind.NUMBER, "Its expected cost when it is redeemed."),
    Column("coupons", ("incentive", "coupons"), Kind.TEXT, "The pool whose codes are given out."),
    Column("tags", ("tags",), Kind.NAMES, "Names of your own, joined by commas."),
    Column("purpose", ("purpose",), Kind.TEXT, "That a customer must have consented to; marketing where it is empty."),
    Column("asks", ("asks",), Kind.TEXT, "Of a question: the trait that its answer fills."),
    Column("budget units", ("budget", "units"), Kind.NUMBER, "How many may be given out, to everyone together."),
    Column("budget amount", ("budget", "amount"), Kind.NUMBER, "How much money they may cost together."),
    Column("budget every", ("budget", "every"), Kind.TEXT, "day, week or month; for all time where it is empty."),
)

SLOT_COLUMNS = (
    Column("expression", ("expression",), Kind.TEXT, "A CEL expression over the customer's variables."),
    Column("default", ("default",), Kind.PLAIN, "Taken where it is not known; without one nothing is said then."),
)

CAP_COLUMNS = (
    Column("at most", ("at_most",), Kind.NUMBER, "So many, for one customer."),
    Column("rolling hours", ("rolling_hours",), Kind.NUMBER, "Within the last hours; one window a cap."),
    Column("rolling days", ("rolling_days",), Kind.NUMBER, "Within the last days."),
    Column("calendar", ("calendar",), Kind.TEXT, "day, week or month of the customer's own calendar."),
    Column("counts", ("counts",), Kind.TEXT, "decision, exposure, click or conversion."),
    Column("governs", ("governs",), Kind.TEXT, "brand, customer or everyone: whose first word it is for."),
)

ROW_NAMES = {
    "hook": ("renderings", "hook"),
    "body": ("renderings", "body"),
    "subject": ("renderings", "subject"),
    "media url": ("renderings", "media", "url"),
    "media kind": ("renderings", "media", "kind"),
    "media alt": ("renderings", "media", "alt"),
    "link url": ("renderings", "link", "url"),
    "link label": ("renderings", "link", "label"),
    "template name": ("templates", "name"),
    "template language": ("templates", "language"),
    "template category": ("templates", "category"),
    "template header": ("templates", "header"),
    "template buttons": ("templates", "buttons"),
}
"""A part that an action has once → where it stands, without the locale."""

NUMBERED = {
    "reply": ("renderings", "suggested_replies"),
    "item": ("renderings", "items"),
    "template parameter": ("templates", "parameters"),
}
"""A part that an action has several of, counted from 1."""

KEYS_OF: dict[str, dict[str, Kind]] = {
    "reply": {"": Kind.TEXT, "trait": Kind.TEXT, "value": Kind.PLAIN, "refuses": Kind.TEXT},
    "item": dict.fromkeys(("title", "url", "product_id", "image", "price"), Kind.TEXT),
    "template parameter": {"": Kind.TEXT},
}
"""Of a numbered part: the keys that have a row of their own; the one without a name is the text of a reply, or all
that a parameter is."""

_NUMBERED_ROW = re.compile(r"(reply|item|template parameter) ([1-9][0-9]{0,2})(?: ([a-z_]+))?")


@dataclass(frozen=True, slots=True)
class Row:
    """What one row of Texts holds: `reply 2 trait` is the key `trait` of the second of `suggested_replies`."""

    root: str  # renderings | templates
    path: Path  # inside the locale's part
    kind: Kind = Kind.TEXT
    number: int | None = None  # of a numbered part, counted from 0
    key: str = ""  # of a numbered part: the key inside it


def row_of(part: str) -> Row | None:
    """What a row of that name holds; None where there is no such part."""
    if (named := ROW_NAMES.get(part)) is not None:
        return Row(named[0], named[1:])
    found = _NUMBERED_ROW.fullmatch(part)
    if found is None:
        return None
    keys = KEYS_OF[found[1]]
    if (found[3] or "") not in keys:
        return None
    root, *path = NUMBERED[found[1]]
    key = found[3] or ""
    return Row(root, tuple(path), keys[key], int(found[2]) - 1, key)


def row_names() -> list[str]:
    """Every part that a row can hold, those with a number as the first of them."""
    numbered = [f"{part} 1 {key}".strip() for part, keys in KEYS_OF.items() for key in keys]
    return [*ROW_NAMES, *numbered]
