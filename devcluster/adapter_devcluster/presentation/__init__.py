"""What clients see beside the objects themselves: discovery, OpenAPI, Tables. Pure functions."""
