"""Records → tables. Reads records only, never a runner, a model or torch."""
