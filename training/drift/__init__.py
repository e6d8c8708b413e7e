"""Whether a model still is asked about what it learned from, and whether what it says still comes."""
