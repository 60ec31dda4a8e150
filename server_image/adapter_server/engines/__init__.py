"""What computes answers: the interface that the gateway and the sync loop know, and the engines behind it."""
