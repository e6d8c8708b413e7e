"""What one training round does for each model: learn, judge, write, record, promote."""
