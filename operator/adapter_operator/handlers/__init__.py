"""Kopf handlers: they only enqueue keys."""
