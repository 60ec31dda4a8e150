"""What a base model is made of, from its configuration and the headers of its weights: no weights, no torch."""
