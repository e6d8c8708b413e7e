"""The response model: what a customer is expected to bring if an action is taken, learned from what was tried."""
