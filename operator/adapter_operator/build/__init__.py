"""Pure builders of Kubernetes manifests, one kind of object each."""
