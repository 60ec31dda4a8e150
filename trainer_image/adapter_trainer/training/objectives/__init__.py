"""What is minimised, and what of it is measured on held-out examples: one module per objective."""
