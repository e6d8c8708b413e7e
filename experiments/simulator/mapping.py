"""The mapping of the simulator's export."""

MAPPING = ""
