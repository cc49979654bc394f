"""glulam's own plugins. They register through the same entry points as anyone's."""
