"""What another catalogue would have done in the decisions of the past days."""
