"""From archives to the list of a study's images, its split, and packed arrays."""
