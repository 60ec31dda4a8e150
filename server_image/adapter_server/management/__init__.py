"""The management port: the adapters as they are, health and metrics. For the operator and for monitoring only."""
