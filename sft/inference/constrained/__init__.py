"""Generation that can only say what a grammar allows, and that comes to an end before the length limit."""
