"""One node of the trie is trained: its learning rates, its processes, its pointer."""
