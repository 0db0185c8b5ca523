"""Looking after a store: listing, checking and clearing it out."""
