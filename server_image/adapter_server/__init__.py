"""The server: what runs in an AdapterDeployment's pods."""
