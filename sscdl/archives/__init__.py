"""Which files an archive of radiographs has, and what its tables say of them."""
