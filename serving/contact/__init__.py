"""Whether, when and how often a customer may be spoken to: consent, contact policy, reservations, budgets, coupons."""
