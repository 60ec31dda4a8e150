"""The training loop: batches, optimizer, evaluation, the choice of the best weights."""
