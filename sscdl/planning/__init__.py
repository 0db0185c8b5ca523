"""What would be trained, why, and what it takes."""
