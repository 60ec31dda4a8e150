"""Pure readers: from Kubernetes objects to what the planner needs to know."""
