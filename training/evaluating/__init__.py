"""How good ours is beside what a user would pick instead, on whatever was imported."""
