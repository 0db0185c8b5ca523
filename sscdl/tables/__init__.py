"""Every table that a study makes, and how a table is written."""
