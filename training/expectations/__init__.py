"""How many order-days, and how much spend, to expect of each customer within a horizon."""
