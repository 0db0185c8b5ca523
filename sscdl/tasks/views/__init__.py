"""Pretext tasks that contrast views of an image."""
