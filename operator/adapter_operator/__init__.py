"""The Kubernetes operator of AdapterTraining and AdapterDeployment."""
