"""API version v1alpha1."""
