"""What is in a cache, and whether every byte of it is what was written."""
