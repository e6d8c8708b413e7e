"""What each customer gets, now."""
