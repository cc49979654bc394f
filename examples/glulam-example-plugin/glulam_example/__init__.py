"""A model, a voting strategy and a metric for glulam; each is one file."""
