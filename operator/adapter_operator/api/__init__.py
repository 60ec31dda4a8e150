"""The API of the custom resources: models, schema generation, no I/O."""
