"""A decision of the past made once more from what was recorded, and everything in which it differs said."""
