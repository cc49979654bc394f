"""Voting strategies."""
