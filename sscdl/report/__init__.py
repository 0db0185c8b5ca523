"""What is said of a whole study: its first page, and whether tables are what predictions say."""
