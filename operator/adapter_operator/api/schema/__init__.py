"""From pydantic models to structural CustomResourceDefinitions."""
