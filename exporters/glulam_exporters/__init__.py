"""glulam's own exporters: library-free programs in, files out."""
