"""Pretext tasks that predict what was done to an image."""
