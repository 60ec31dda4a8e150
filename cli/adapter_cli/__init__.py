"""The kubectl plugin: kubectl adapter."""
