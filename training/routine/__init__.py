"""`rapport run`: everything that turns events into fresh decisions, in order, on a schedule, resumable."""
