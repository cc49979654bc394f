"""Leak checks."""
