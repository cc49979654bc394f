"""What people have: one module a library, each with a list ``CASES``."""
