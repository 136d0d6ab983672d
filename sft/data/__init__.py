"""Rows: loading them, and choosing those that a run may learn from and is judged on."""
