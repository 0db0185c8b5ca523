"""Pretext tasks that assign images to clusters."""
