"""One JSON or JSONNET file, checked and resolved: the only thing that says what a run does."""
