"""What an attempt leaves in its output: the adapter with its manifest, the pointers to it, the record of the run."""
