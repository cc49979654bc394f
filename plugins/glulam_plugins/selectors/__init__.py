"""Selectors of features."""
