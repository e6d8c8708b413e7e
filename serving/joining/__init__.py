"""How what a customer does finds the decision that it followed: signed tokens, links, coupon codes."""
