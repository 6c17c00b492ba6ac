"""The on-disk format of a feature cache, and nothing else."""
