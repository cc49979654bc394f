"""Feature generators, and the checks of the raw tables that they read."""
