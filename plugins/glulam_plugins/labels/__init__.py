"""Labels: what is to be predicted."""
