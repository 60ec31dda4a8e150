"""Preflight: whether a run can start, before a GPU is asked for. It needs no GPU and imports no torch."""
