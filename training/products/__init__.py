"""What the next purchase will be of."""
