"""Trained weights by content, names as pointers to them, and a lock for each name."""
