"""Every speed claim of this project, measured again by one command: ``python -m benchmarks``."""
