"""Training you can believe: from a config file to an evaluated, checked and proven ensemble.

It stands on the machine (`glulam.ensemble`, `glulam.plugins`, ...), which knows nothing of it.
"""
