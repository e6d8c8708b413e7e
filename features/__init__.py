"""What the brand may say, and what we know about a customer, as of when."""
