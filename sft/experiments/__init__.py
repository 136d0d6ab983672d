"""Sweeps: from a list of configs to finished or failed runs, and on to a table."""
