"""``make test`` leaves these tests out: they need a Slurm, which ``make test-slurm`` sets up."""

collect_ignore = ["test_slurm.py"]  # but for a path on pytest's command line
