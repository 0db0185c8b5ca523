"""Synthetic radiographs with known lungs and findings, written as an archive."""
