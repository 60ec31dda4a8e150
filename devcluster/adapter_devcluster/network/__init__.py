"""How Services and pods are reached on this machine: by addresses of the loopback, and through the API server."""
