"""A believable brand with a known truth, for the demo and for tests; `docs/simulator.md` describes it."""
