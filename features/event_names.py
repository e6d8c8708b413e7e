"""Event names that are known: what the brand counts, Segment's e-commerce names, and what a chat says of itself.

A name that is almost one of them is most likely a slip: it is taken as it is, and told.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from features.brand import Brand

MESSAGE_RECEIVED = "Message Received"  # the customer wrote something
SEGMENT_EVENTS = (
    *("Products Searched", "Product List Viewed", "Product List Filtered", "Product Clicked", "Product Viewed"),
    *("Product Added", "Product Removed", "Product Shared", "Product Reviewed", "Cart Viewed", "Cart Shared"),
    *("Promotion Viewed", "Promotion Clicked", "Product Added to Wishlist", "Product Removed from Wishlist"),
    *("Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"),
    *("Order Updated", "Order Completed", "Order Refunded", "Order Cancelled", "Page Viewed", "Signed Up"),
    *("Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed", "Ad Viewed", "Ad Clicked"),
)
NEAR = 0.85  # of 1: 'Order Complete' is near, a shop's own 'Quiz Completed' is not
MOST_REMEMBERED = 1_000  # names that were looked at: whoever makes up names does not keep a server busy
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def known_event_names(brand: Brand) -> frozenset[str]:
    """Every event name that means something to a brand, or to Segment."""
    told = (moment.after.event_name for moment in brand.moments.values())
    own = (*brand.events.model_dump().values(), *(goal.event for goal in brand.goals.values()))
    return frozenset((*own, *(name for name in told if name is not None), *SEGMENT_EVENTS, MESSAGE_RECEIVED))


class UnusualNames:
    """Which live event names are almost known ones; a known name costs one look into a set."""

    def __init__(self, brand: Brand) -> None:
        self._known = known_event_names(brand)
        self._by_words = {_words(name): name for name in sorted(self._known)}
        self._looked_at: dict[str, str | None] = {}

    def meant(self, name: str) -> str | None:
        """The known name that an unknown one is almost; None where it is known, or like none."""
        if name in self._known:
            return None
        if name not in self._looked_at and len(self._looked_at) < MOST_REMEMBERED:
            found = get_close_matches(_words(name), self._by_words, n=1, cutoff=NEAR)
            self._looked_at[name] = self._by_words[found[0]] if found else None
        return self._looked_at.get(name)


def _words(name: str) -> str:
    return _BETWEEN_WORDS.sub("", name).casefold()
