"""What the trainer tells while it runs and when it ends: log, progress, termination message."""
