"""The event contract: Segment's identify and track, as the columns of the lake's event table.

Properties that features or experiments read have a column of their own; everything else stays in `properties`, as
JSON. An identify call is the event `identify` with its traits in `properties`; an answer in a conversation is a
`Question Answered`, where `trait` and `answer` have columns.
"""

from __future__ import annotations

from typing import NewType

import pyarrow as pa

CustomerKey = NewType("CustomerKey", int)

IDENTIFY = "identify"

INSTANT = pa.timestamp("us")  # UTC, without a zone: what DuckDB calls TIMESTAMP

PRODUCT = pa.struct(
    [
        ("product_id", pa.string()),
        ("name", pa.string()),
        ("category", pa.string()),
        ("quantity", pa.float64()),
        ("price", pa.float64()),
    ]
)

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),  # Segment's messageId: unique for ever
        pa.field("customer_key", pa.int64(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("occurred_at", INSTANT, nullable=False),
        pa.field("received_at", INSTANT, nullable=False),
        pa.field("backfilled", pa.bool_(), nullable=False),
        # When a corrected version of the same event became known; null while this version stands.
        pa.field("superseded_at", INSTANT),
        pa.field("order_id", pa.string()),
        pa.field("total", pa.float64()),  # of an order or a refund (positive), in `currency`
        pa.field("currency", pa.string()),
        pa.field("products", pa.list_(PRODUCT)),  # of an order or refund; one element for Product Viewed / Added
        pa.field("trait", pa.string()),
        pa.field("answer", pa.string()),  # text, number, ISO date, true/false; several choices as a JSON array
        pa.field("channel", pa.string()),
        pa.field("campaign", pa.string()),
        pa.field(
            "source", pa.string()
        ),  # where a visit came from, such as "google / cpc"; "unknown" if it does not say
        pa.field("conversation_id", pa.string()),
        pa.field("step", pa.string()),  # of the conversation, so that drop-off can be told step by step
        pa.field("action_id", pa.string()),
        pa.field("arm", pa.string()),
        pa.field("action_probability", pa.float64()),
        pa.field("outcome", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("window_days", pa.float64()),
        pa.field("properties", pa.string()),  # JSON object with the rest, or null
    ]
)
