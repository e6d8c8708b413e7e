"""Decisions for many customers in one request: a campaign, read and answered as it streams."""
