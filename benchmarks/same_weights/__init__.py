"""A proof that a change of the source leaves what it makes as it was, bit for bit."""
