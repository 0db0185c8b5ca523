"""What a configuration implies: curricula as a trie, fingerprints and paths."""
