"""Feature validators."""
