"""Why a decision is what it is, in words that a marketer reads and numbers that add up."""
