"""What a training starts from: examples, base model, parent; fetched, and held to the digests that are promised."""
