"""A shop's export, by a mapping file, becomes events in the lake."""
