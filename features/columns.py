"""Every feature that Rapport itself makes: its name, view, unit and meaning, in the order in which they are stored."""

from __future__ import annotations

from dataclasses import dataclass

WINDOWS_DAYS = (7, 30, 90, 365)


@dataclass(frozen=True, slots=True)
class Column:
    """One stored feature; a missing value means unknown or not applicable, never zero."""

    name: str
    view: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measure:
    """Something counted or summed over every window, as `<name>_<days>d`, by `aggregates/bands.sql`."""

    name: str
    unit: str
    meaning: str

    def columns(self) -> tuple[Column, ...]:
        """One column a window."""
        return tuple(
            Column(f"{self.name}_{days}d", "recent", self.unit, f"{self.meaning}, in the last {days} days")
            for days in WINDOWS_DAYS
        )


MEASURES = (
    Measure("n_orders", "orders", "Orders with distinct order ids"),
    Measure("revenue", "currency", "Total of these orders"),
    Measure("mean_order_value", "currency", "Mean total of an order; missing without one"),
    Measure("n_order_days", "days", "Distinct local days with an order"),
    Measure("n_refunds", "events", "Refunds"),
    Measure("refunded", "currency", "Money refunded"),
    Measure("n_events", "events", "Events of any kind except messages sent by the brand"),
    Measure("n_page_views", "events", "Pages viewed"),
    Measure("n_product_views", "events", "Products viewed"),
    Measure("n_add_to_carts", "events", "Products put in the cart"),
    Measure("n_ad_clicks", "events", "Ads clicked"),
    Measure("n_answers", "events", "Questions answered"),
    Measure("n_messages_sent", "messages", "Messages sent to the customer; controls ('nothing') are not messages"),
    Measure("n_messages_opened", "messages", "Messages opened"),
    Measure("n_messages_clicked", "messages", "Messages clicked"),
    Measure("n_messages_replied", "messages", "Messages replied to"),
)

RECENT = tuple(column for measure in MEASURES for column in measure.columns())


def _behaviour(name: str, unit: str, meaning: str) -> Column:
    return Column(name, "behaviour", unit, meaning)


BEHAVIOUR = (
    _behaviour("n_orders", "orders", "Orders with distinct order ids, ever"),
    _behaviour("n_order_days", "days", "Distinct local days with an order, ever"),
    _behaviour("revenue", "currency", "Total of all orders"),
    _behaviour("mean_order_value", "currency", "Mean total of an order"),
    _behaviour("max_order_value", "currency", "Largest total of an order"),
    _behaviour("n_refunds", "events", "Refunds, ever"),
    _behaviour("refunded", "currency", "Money refunded, ever"),
    _behaviour("mean_gap_days", "days", "Mean gap between days with an order; missing before the second"),
    _behaviour("sd_gap_days", "days", "Standard deviation of that gap; missing before the third"),
    _behaviour("basket_size_mean", "items", "Mean number of items in an order"),
    _behaviour("basket_lines_mean", "lines", "Mean number of lines in an order"),
    _behaviour("n_categories", "categories", "Categories ordered from"),
    _behaviour("category_entropy", "nats", "Entropy of the customer's order lines over categories"),
    _behaviour("top_category_share", "share", "Share of order lines in the customer's first category"),
    _behaviour("second_category_share", "share", "Share of order lines in the customer's second category"),
    _behaviour("price_min", "currency", "Lowest price paid for one item"),
    _behaviour("price_mean", "currency", "Mean price of an order line: the customer's price band"),
    _behaviour("price_max", "currency", "Highest price paid for one item"),
    _behaviour("order_share_weekend", "share", "Share of orders on Saturday or Sunday, local time"),
    _behaviour("order_share_night", "share", "Share of orders from 00:00 to 06:00, local time"),
    _behaviour("order_share_morning", "share", "Share of orders from 06:00 to 12:00, local time"),
    _behaviour("order_share_afternoon", "share", "Share of orders from 12:00 to 18:00, local time"),
    _behaviour("order_share_evening", "share", "Share of orders from 18:00 to 24:00, local time"),
    _behaviour("usual_order_weekday", "weekday", "Most frequent weekday of orders, Monday = 1; the earlier on a tie"),
    _behaviour("n_events", "events", "Events of any kind except messages sent by the brand, ever"),
    _behaviour("n_product_views", "events", "Products viewed, ever"),
    _behaviour("n_add_to_carts", "events", "Products put in the cart, ever"),
    _behaviour("n_messages_sent", "messages", "Messages sent to the customer, ever"),
    _behaviour("n_messages_clicked", "messages", "Messages clicked, ever"),
    _behaviour("n_answers", "events", "Questions answered, ever"),
)

INSTANTS = (
    Column("first_event_at", "behaviour", "instant", "First event of any kind except messages sent by the brand"),
    Column("last_event_at", "behaviour", "instant", "Last event of any kind except messages sent by the brand"),
    Column("first_order_at", "behaviour", "instant", "First order"),
    Column("last_order_at", "behaviour", "instant", "Last order"),
    Column("last_refund_at", "behaviour", "instant", "Last refund"),
    Column("last_consideration_at", "recent", "instant", "Last product view, cart, ad or message click, or answer"),
    Column("last_product_view_at", "recent", "instant", "Last product viewed"),
    Column("last_cart_at", "recent", "instant", "Last product put in the cart"),
    Column("last_message_at", "recent", "instant", "Last message sent to the customer"),
    Column("last_message_click_at", "recent", "instant", "Last message clicked"),
    Column("last_answer_at", "recent", "instant", "Last question answered"),
)

TEXTS = (
    Column("top_category", "behaviour", "text", "Category with most order lines; alphabetical on a tie"),
    Column("category_shares", "behaviour", "JSON", "Share of order lines of the customer's three first categories"),
    Column(
        "first_source", "behaviour", "text", "Where the first visit that said so came from; 'unknown' if it did not say"
    ),
    Column(
        "last_source", "behaviour", "text", "Where the last visit that said so came from; 'unknown' if it did not say"
    ),
    Column("last_campaign", "recent", "text", "Campaign of the last message sent"),
    Column("last_action_id", "recent", "text", "Action of the last message sent"),
    Column("last_channel", "recent", "text", "Channel of the last message sent"),
    Column("declared", "declared", "JSON", "What the customer has told us and not withdrawn, by trait"),
    Column(
        "consents",
        "declared",
        "JSON",
        "Channels with a consent that stands; for another purpose than marketing `channel/purpose`",
    ),
    Column("locale", "declared", "text", "Locale the customer declared"),
    Column("time_zone", "declared", "text", "Time zone the customer declared"),
)
