"""The properties of a call as the columns of the event contract; what has no column stays in `properties`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from features.brand import Brand
from features.faults import closest_name
from serving.ingest.calls import text_of
from serving.ingest.declared import LARGEST_NUMBER

TEXTS = frozenset(
    ("order_id", "currency", "trait", "channel", "campaign", "conversation_id", "step", "action_id", "arm", "outcome")
)
NUMBERS = frozenset(("total", "action_probability", "value", "window_days"))
_PRODUCT_TEXTS = ("product_id", "name", "category")
_PRODUCT_NUMBERS = ("price", "quantity")
_PRODUCT_KEYS = frozenset((*_PRODUCT_TEXTS, "sku", *_PRODUCT_NUMBERS))

Columns = dict[str, Any]


class WrongEventError(ValueError):
    """An event that cannot be taken: the reason, then what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ColumnsOf:
    """Takes properties apart, by the event names of one brand."""

    def __init__(self, brand: Brand) -> None:
        names = brand.events
        self._brand = brand
        self._money = {names.order, names.refund}
        self._of_one_product = {names.product_view, names.add_to_cart}
        self._consents = {names.consent_given, names.consent_withdrawn}
        self._answered = names.question_answered
        self._measured = {names.outcome_measured: NUMBERS, names.message_sent: frozenset(("action_probability",))}

    def take(self, event: str, properties: dict[str, Any]) -> tuple[Columns, dict[str, Any]]:
        """The columns of an event and the properties that have none.

        Raises:
            WrongEventError: a value that the event cannot be without, or that would be counted, is wrong.
        """
        columns: Columns = {}
        rest: dict[str, Any] = {}
        for name, value in properties.items():
            read = _READERS.get(name)
            if read is None:
                rest[name] = value
                continue
            found = read(value)
            if found is not None:
                columns[name] = found
            elif value is not None:
                rest[name] = value  # not what the column holds: kept as it is, unless the event needs it
        if event in self._money:
            self._check_money(event, columns, rest)
        elif event in self._of_one_product:
            _take_one_product(columns, rest)
        elif event in self._consents:
            self._check_consent(columns, rest)
        elif event == self._answered:
            self.check_purpose(rest.get("purpose"), of="an answer")
        elif event in self._measured:
            _check_measured(columns, rest, self._measured[event])
        return columns, rest

    def _check_money(self, event: str, columns: Columns, rest: dict[str, Any]) -> None:
        if "total" in rest:
            raise WrongEventError("unparsable_total", f"the total of '{event}' is {_shown(rest['total'])}: no number")
        if "products" in rest:
            raise WrongEventError("unparsable_products", f"the products of '{event}' are no list of objects")
        if "total" not in columns and (revenue := number_of(rest.get("revenue"))) is not None:
            columns["total"] = revenue  # Segment's other name for it
        currency = columns.get("currency") or rest.get("currency") or self._brand.currency
        if type(currency) is not str or currency.upper() != self._brand.currency:
            rule = f"this brand counts in {self._brand.currency}: convert it before it is sent"
            raise WrongEventError("unknown_currency", f"the currency of '{event}' is {_shown(currency)}, but {rule}")
        columns["currency"] = self._brand.currency
        products = columns.get("products", ())
        if event == self._brand.events.refund:
            if "total" in columns:
                columns["total"] = abs(columns["total"])
            for product in products:
                product |= {name: abs(product[name]) for name in ("price", "quantity") if name in product}
            return
        if columns.get("total", 0) < 0 or any(product.get("price", 0) < 0 for product in products):
            raise WrongEventError(
                "negative_price", f"'{event}' has a negative total or price; a refund is another event"
            )
        if any(product.get("quantity", 0) < 0 for product in products):
            raise WrongEventError("negative_quantity", f"'{event}' has a negative quantity; a refund is another event")

    def _check_consent(self, columns: Columns, rest: dict[str, Any]) -> None:
        """A misspelt channel or purpose would leave a withdrawal without effect, and nobody would know."""
        channel = columns.get("channel", rest.get("channel"))
        self._check_known("channel", channel, tuple(self._brand.channels), of="a consent")
        self.check_purpose(rest.get("purpose"), of="a consent")

    def check_purpose(self, purpose: object, *, of: str) -> None:
        """What was asked for a misspelt purpose would stay when that purpose is withdrawn.

        Raises:
            WrongEventError: brand.yaml does not know that purpose.
        """
        self._check_known("purpose", purpose, self._brand.purposes, of=of)

    def _check_known(self, name: str, value: object, known: tuple[str, ...], *, of: str) -> None:
        if value is not None and value not in known:
            hint = closest_hint(value, known)
            detail = f"the {name} of {of} is {_shown(value)}.{hint} brand.yaml has: {', '.join(known)}"
            raise WrongEventError(f"unknown_{name}", detail)


def closest_hint(said: object, known: Iterable[str]) -> str:
    """The name that a misspelt one most likely meant, as a sentence; empty where nothing is near."""
    closest = closest_name(said[:80], known) if type(said) is str else None
    return f" Closest: '{closest}'." if closest else ""


def number_of(value: object) -> float | int | None:
    """A number, or a text that is one; None where it is neither, or larger than any feature can hold."""
    if type(value) is str:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is float or type(value) is int:
        return value if -LARGEST_NUMBER <= value <= LARGEST_NUMBER else None  # NaN and the infinite are not
    return None


def _products(value: object) -> list[dict[str, Any]] | None:
    if type(value) is not list:
        return None
    made = []
    for one in value:
        if type(one) is not dict:
            return None
        made.append(_product(one))
    return made


def _product(given: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in given.items():
        read = _PRODUCT_READERS.get(name)
        if read is not None and (found := read(value)) is not None:
            made[name] = found
    if "product_id" not in made and (sku := text_of(given.get("sku"))) is not None:
        made["product_id"] = sku
    return made


def _take_one_product(columns: Columns, rest: dict[str, Any]) -> None:
    """Segment writes the product that was looked at into the properties themselves."""
    if "products" in columns or not _PRODUCT_KEYS & rest.keys():
        return
    if made := _product(rest):
        columns["products"] = [made]
        for name in _PRODUCT_KEYS & rest.keys():
            del rest[name]


def _check_measured(columns: Columns, rest: dict[str, Any], needed: frozenset[str]) -> None:
    for name in needed & rest.keys():
        raise WrongEventError(f"unparsable_{name}", f"{name} is {_shown(rest[name])}: no number")
    if not 0 <= columns.get("action_probability", 0) <= 1:
        raise WrongEventError("probability_out_of_range", f"action_probability is {columns['action_probability']}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


_READERS: dict[str, Callable[[object], Any]] = {
    **dict.fromkeys(TEXTS, text_of),
    **dict.fromkeys(NUMBERS, number_of),
    "products": _products,
}
_PRODUCT_READERS: dict[str, Callable[[object], Any]] = {
    **dict.fromkeys(_PRODUCT_TEXTS, text_of),
    **dict.fromkeys(_PRODUCT_NUMBERS, number_of),
}
