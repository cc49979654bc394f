"""Splitters of rows, by scikit-learn's interface."""
