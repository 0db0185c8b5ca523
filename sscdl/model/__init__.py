"""A finished classifier elsewhere: exported, described, and asked about new images."""
