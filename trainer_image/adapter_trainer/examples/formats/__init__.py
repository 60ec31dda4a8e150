"""From a row to what its example says: which columns hold it, and in which shape."""
