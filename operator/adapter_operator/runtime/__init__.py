"""The imperative shell: work queue, API client, election, metrics. It knows nothing of adapters."""
