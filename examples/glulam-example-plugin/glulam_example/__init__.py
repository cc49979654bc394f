"""A model and a voting strategy for glulam; each is one file."""
