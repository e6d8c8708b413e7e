"""Who may ask what of a server that others can reach, how often, and how a key is made, replaced and taken back."""
