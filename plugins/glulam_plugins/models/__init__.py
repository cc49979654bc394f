"""Kinds of members."""
