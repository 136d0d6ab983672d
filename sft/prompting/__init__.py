"""Rows → token ids: formats, in-context examples, limits, and which tokens are the answer."""
