"""A person's right to have everything, and to have nothing left: export and erasure at the edge."""
