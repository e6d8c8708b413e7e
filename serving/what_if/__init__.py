"""What another catalogue would have done with the customers of the past days."""
