"""Tasks that learn from labels."""
