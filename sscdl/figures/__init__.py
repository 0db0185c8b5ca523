"""Every figure that a study makes."""
