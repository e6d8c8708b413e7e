"""Model cards: what a version was made of, how good it is for whom, and what it must not be used for."""
