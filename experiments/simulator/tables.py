"""The export's columns: one wide table, as a shop's warehouse would unload its events."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from experiments.simulator import kinds as k
from experiments.simulator.calendar import TIME_ZONES
from experiments.simulator.population import LOCALES

CATEGORIES = k.INTERESTS
PRODUCTS_A_CATEGORY = 12
_NAMES = {
    "skincare": ("Rose Cleanser", "Neem Face Wash", "Aloe Gel", "Rice Toner", "Saffron Serum", "Vitamin C Serum",
                 "Night Cream", "Sun Gel SPF 50", "Gold Elixir", "Peptide Cream", "Lotus Essence", "Retinal Oil"),
    "makeup": ("Kajal", "Lip Balm Tint", "Nail Colour", "Blush Stick", "Matte Lipstick", "Brow Pencil",
               "Cream Blush", "Loose Powder", "Silk Foundation", "Velvet Palette", "Glow Primer", "Couture Lipstick"),
    "haircare": ("Amla Oil", "Shikakai Shampoo", "Comb of Neem", "Hair Mist", "Onion Serum", "Argan Mask",
                 "Bhringraj Oil", "Curl Cream", "Keratin Ritual", "Scalp Elixir", "Camellia Oil", "Silk Bonnet"),
    "fragrance": ("Jasmine Roll-on", "Vetiver Mist", "Lime Cologne", "Rose Water", "Mogra Attar", "Sandal Mist",
                  "Citrus Cologne", "Lemongrass Candle", "Oud Perfume", "Frangipani Perfume", "Amber Attar",
                  "Gift Coffret"),
}  # fmt: skip
PRODUCT_NAMES = tuple(name for category in CATEGORIES for name in _NAMES[category])
PRODUCT_IDS = tuple(f"{category[:2].upper()}{n + 1:02d}" for category in CATEGORIES for n in range(PRODUCTS_A_CATEGORY))
PRODUCT_PRICES = np.array(
    [
        base * factor
        for base in (1.0, 0.9, 0.85, 1.3)
        for factor in (199, 249, 299, 349, 549, 649, 749, 899, 1499, 1799, 2199, 2799)
    ]
).round()
CURRENCY = "INR"

EVENTS = (
    "identify",
    "Consent Given",
    "Consent Withdrawn",
    "Subscribed",
    "Ad Viewed",
    "Ad Clicked",
    "Page Viewed",
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Order Refunded",
    "Question Answered",
    "Message Sent",
    "Message Opened",
    "Message Clicked",
    "Message Replied",
)
CHANNELS = ("web", "email", "whatsapp", "line")
CAMPAIGNS = ("newsletter", "glow_again", "rapport", "search_ads", "social_video", "retargeting")
ARMS = ("control", "treatment")
TRAITS = ("skin_need", "interests", "life_stage", "price_preference", "birthday", "income")

_WORDS = pa.dictionary(pa.int32(), pa.string())
EXPORT_SCHEMA = pa.schema(
    [
        pa.field("message_id", pa.string()),
        pa.field("customer_id", _WORDS),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("event", _WORDS),
        pa.field("order_id", pa.string()),
        pa.field("product_id", _WORDS),
        pa.field("product_name", _WORDS),
        pa.field("category", _WORDS),
        pa.field("price", pa.float64()),
        pa.field("quantity", pa.float64()),
        pa.field("total", pa.float64()),
        pa.field("currency", _WORDS),
        pa.field("trait", _WORDS),
        pa.field("answer", _WORDS),
        pa.field("conversation_id", pa.string()),
        pa.field("channel", _WORDS),
        pa.field("purpose", _WORDS),
        pa.field("campaign", _WORDS),
        pa.field("action_id", _WORDS),
        pa.field("arm", _WORDS),
        pa.field("action_probability", pa.float64()),
        pa.field("locale", _WORDS),
        pa.field("time_zone", _WORDS),
    ]
)
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "event": EVENTS,
    "product_id": PRODUCT_IDS,
    "product_name": PRODUCT_NAMES,
    "category": CATEGORIES,
    "currency": (CURRENCY,),
    "trait": TRAITS,
    "channel": CHANNELS,
    "purpose": ("marketing",),
    "campaign": CAMPAIGNS,
    "action_id": k.ACTIONS,
    "arm": ARMS,
    "locale": LOCALES,
    "time_zone": TIME_ZONES,
}

DAY_US = 86_400_000_000
Column: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64] | int | float | pa.Array


def instants(origin_us: int, day: npt.NDArray[np.int64], part: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Microseconds since the epoch of parts of days."""
    return origin_us + day.astype(np.int64) * DAY_US + (part * DAY_US).astype(np.int64)


class EventRows:
    """Collects the rows of one batch of customers; every row gets a message id of its own.

    Args:
        names: the customers' ids, in the population's order.
        prefix: what the message ids of this batch begin with: unique in the export.
    """

    def __init__(self, names: pa.Array, *, prefix: str) -> None:
        self._names = names
        self._prefix = prefix
        self._n = 0
        self.tables: list[pa.Table] = []
        self._words = {name: pa.array(words, pa.string()) for name, words in VOCABULARIES.items()}

    def add(
        self,
        event: str,
        *,
        customer: npt.NDArray[np.int64],
        time: npt.NDArray[np.int64],
        answers: pa.Array | None = None,
        **columns: Column,
    ) -> None:
        """Adds one row a customer in `customer`; words are given as indices into VOCABULARIES, -1 for none."""
        n = len(customer)
        if not n:
            return
        numbers = pa.array(np.arange(self._n, self._n + n))
        self._n += n
        given: dict[str, pa.Array] = {
            "message_id": pc.binary_join_element_wise(self._prefix, pc.cast(numbers, pa.string()), "-"),
            "customer_id": pa.DictionaryArray.from_arrays(pa.array(customer.astype(np.int32)), self._names),
            "time": pa.array(time).cast(pa.timestamp("us", tz="UTC")),
            "event": self._word("event", np.full(n, EVENTS.index(event), dtype=np.int32)),
        }
        for name, values in columns.items():
            given[name] = self._column(name, values, n=n, answers=answers)
        fields = [given.get(field.name) for field in EXPORT_SCHEMA]
        arrays = [
            pa.nulls(n, field.type) if array is None else array
            for field, array in zip(EXPORT_SCHEMA, fields, strict=True)
        ]
        self.tables.append(pa.Table.from_arrays(arrays, schema=EXPORT_SCHEMA))

    def _column(self, name: str, values: Column, *, n: int, answers: pa.Array | None) -> pa.Array:
        if isinstance(values, pa.Array):
            return values
        spread = np.broadcast_to(np.asarray(values), n)
        if name == "answer":
            return pa.DictionaryArray.from_arrays(pa.array(spread.astype(np.int32)), answers)
        if name in self._words:
            return self._word(name, spread.astype(np.int32))
        return pa.array(spread.astype(np.float64))

    def _word(self, name: str, index: npt.NDArray[np.int32]) -> pa.Array:
        missing = index < 0
        indices = pa.array(index, mask=missing) if missing.any() else pa.array(index)
        return pa.DictionaryArray.from_arrays(indices, self._words[name])
