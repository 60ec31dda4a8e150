"""Pure planning: resource, observed state, configuration and time in, a plan out."""
