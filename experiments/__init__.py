"""Who gets which policy, and what it earned."""
